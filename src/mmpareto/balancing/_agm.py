from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._shares import joint_alone, shapley
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT

_LARGEST_EXPONENT = 10.0


class _RunningMeans(nn.Module):
    """The mean contribution loss of each modality over the steps so far."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.mean: Tensor
        self.steps: Tensor
        self.register_buffer("mean", setup.zeros(len(setup.encoders)))
        self.register_buffer("steps", setup.zeros())


@dataclass(frozen=True)
class AGM(LossWeighting):
    r"""Adaptive gradient modulation: every modality back to its usual lead over the others.

    A modality's contribution is its Shapley value :math:`\phi_m` of the joint logits. With C_m its
    loss in this step and S_m the mean of it over the steps so far, this one included:

    .. math::
        r_m = \exp(\mathrm{mean}_{j \ne m} C_j - C_m), \quad
        \tau_m = \exp(\mathrm{mean}_{j \ne m} S_j - S_m), \quad
        \kappa_m = \exp(\alpha (\tau_m - r_m))

    A modality that leads more than usual has :math:`r > \tau` and so a factor below 1. (One public
    re-implementation has the exponent's sign reversed.)

    Two departures. The contributions are those of zeroed features, in place of zeroed inputs, so
    that no further pass through the encoders is needed. The factor acts on the encoder's gradient
    alone, not on the head's part that reads it. Exponents are capped at 10, as in the release.

    Source: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation",
    ICCV 2023, arXiv 2308.07686 (equations from memory and from the release).

    Args:
        alpha: Strength of the modulation; 0 switches it off.

    Example:
        >>> first, second = torch.tensor([0.5, 1.0]), torch.tensor([0.6, 0.9])
        >>> AGM(alpha=1.0).kappa(first, second)
        tensor([0.7417, 1.1437])
    """

    name = "agm"
    facts = Facts(
        source="Li et al., ICCV 2023, arXiv 2308.07686",
        family="gradients",
        needs="split model",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"alpha": Range(0.1, 3.0, "log")},
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse"})

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        return _RunningMeans(setup)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        losses = {}
        for modality, contribution in shapley(view.features, view.fuse).items():
            truth = view.having(modality, view.label)
            losses[modality] = view.target.losses(view.having(modality, contribution), truth)
        return losses

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, _RunningMeans)
        current = torch.stack(list(evidence.values()))
        memory.steps += evidence.complete
        updated = memory.mean + (current - memory.mean) / memory.steps.clamp(min=1)
        memory.mean.copy_(torch.where(evidence.complete, updated, memory.mean))
        return dict(zip(evidence, self.kappa(current, memory.mean).unbind(), strict=True))

    def kappa(self, current: Tensor, usual: Tensor) -> Tensor:
        """Factors [M] from contribution losses [M] of this step, and of the steps so far."""
        ahead = _lead(usual).exp() - _lead(current).exp()
        return (self.alpha * ahead).clamp(max=_LARGEST_EXPONENT).exp()


def _lead(losses: Tensor) -> Tensor:
    """By how much the mean of the others' losses exceeds each one's."""
    others = (losses.sum() - losses) / max(1, len(losses) - 1)
    return others - losses if len(losses) > 1 else torch.zeros_like(losses)
