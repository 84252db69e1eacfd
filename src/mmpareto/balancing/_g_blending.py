# Annotations are not postponed: CONTRIBUTING.md says why.

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mmpareto.balancing._ensemble import each_alone
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts
from mmpareto.balancing._joint import Joint
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup, Survey
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT

_SMALLEST = 1e-8


class _Blend(nn.Module):
    """Weights of the losses, and until they are known the models that tell them."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.names = [JOINT, *setup.encoders]
        self.trained = dict(setup.trained)  # no submodules: only the weights are remembered
        self.weights: Tensor
        self.register_buffer("weights", setup.zeros(len(self.names)) + 1)


@dataclass(frozen=True)
class GBlending(LossWeighting):
    r"""Gradient blending, offline: a loss counts by how well its head generalizes, trained alone.

    Each head k, of one modality and of all, is trained alone first. With the losses L on the
    training part and L* on what is held out of it, before and after:

    .. math::
        G_k = L^*_k(0) - L^*_k(N), \qquad
        O_k = (L^*_k(N) - L_k(N)) - (L^*_k(0) - L_k(0)), \qquad
        w_k \propto G_k / O_k^2, \quad \sum_k w_k = 1

    A head that did not improve has weight 0. N is the epoch that each training selects; the losses
    before are those of this training's initial weights.

    Source: Wang et al., "What Makes Training Multi-modal Classification Networks Hard?", CVPR 2020,
    arXiv 1905.12681 (equations from memory). Here means over samples: sums over unequal numbers of
    batches, as in one toolkit, make O meaningless.

    Example:
        >>> before, after = torch.tensor([1.5, 1.6]), torch.tensor([0.5, 1.0])
        >>> GBlending().raw_weight(before, after)
        tensor(3.7500)
    """

    name = "g-blending"
    facts = Facts(
        source="Wang et al., CVPR 2020, arXiv 1905.12681",
        family="losses",
        needs="unimodal heads, a training of each modality alone and one of all",
        modalities="any",
        forwards=1,
        backwards=1,
        uses_validation=True,
    )
    requires = frozenset({JOINT})

    def trainings(self, config: Any) -> Mapping[str, Any]:
        alone = {JOINT: replace(config, method=Joint()), **each_alone(config)}
        held_out = {}
        for name, training in alone.items():
            held_out[name] = replace(training, hold_out=True)
        return held_out

    def memory(self, setup: Setup) -> nn.Module:
        return _Blend(setup)

    def raw_weight(self, before: Tensor, after: Tensor) -> Tensor:
        """G / O^2 from losses [2] on the training part and on what is held out."""
        improved = (before[1] - after[1]).clamp(min=0)
        overfitted = (after[1] - after[0]) - (before[1] - before[0])
        return improved / overfitted.square().clamp(min=_SMALLEST)

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        assert isinstance(memory, _Blend)
        if survey.epoch > 0:
            return
        raw = []
        for name in memory.names:
            before = _losses(survey, name, name, None)
            after = _losses(survey, name, JOINT, memory.trained[name])
            raw.append(self.raw_weight(before, after))
        total = torch.stack(raw).to(memory.weights)
        # Where no head improved there is nothing to choose by: all count alike.
        blended = torch.where(total.sum() > 0, total / total.sum(), 1 / len(total))
        memory.weights.copy_(blended)

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, _Blend)
        weights = dict(zip(memory.names, memory.weights.unbind(), strict=True))
        blended = {}
        for name, loss in view.losses.items():
            blended[name] = weights[name].to(loss.dtype) * loss
        return blended


def _losses(survey: Survey, modality: str, objective: str, model: nn.Module | None) -> Tensor:
    """Mean losses [2] on the training part and on what is held out.

    Args:
        survey: Reads them.
        modality: Whose samples count; ``"joint"`` for all.
        objective: Which loss of the model is read.
        model: The model; None for the one that is trained.
    """
    means = []
    for part in ("train", "held-out"):
        total = count = torch.zeros(())
        for view in survey.read(part, model):
            if objective in view.losses:
                size = len(view.having(modality, view.label))
                total = total + size * view.losses[objective].cpu()
                count = count + size
        means.append(total / count.clamp(min=1))
    return torch.stack(means)
