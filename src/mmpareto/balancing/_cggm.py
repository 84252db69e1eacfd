from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import FACTOR, Facts
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View, check_classes
from mmpareto.partition import JOINT


class _Accuracies(nn.Module):
    """The modalities' accuracies in the step before, and whether there was one."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.before: Tensor
        self.known: Tensor
        self.register_buffer("before", setup.zeros(len(setup.encoders)))
        self.register_buffer("known", setup.zeros())


@dataclass(frozen=True)
class CGGM(LossWeighting):
    r"""Classifier-guided gradient modulation: slower where a modality's classifier has just gained.

    With D_m the gain in accuracy of modality m's own head since the step before:

    .. math::
        B_m = \frac{\sum_j D_j - D_m}{\sum_j D_j}, \qquad g_m \leftarrow \rho \, B_m \, g_m

    The heads learn from features, and teach no encoder: they are the classifiers of the paper.

    Two departures. Where accuracies fall, B is unbounded or changes sign. Here a loss of accuracy
    counts as no gain, so that every B is from 0 to 1; without any gain each is (M - 1) / M, their
    mean. The paper's second term, of cosines between gradients of the step before, is left out: it
    consists of numbers, which have no gradient. (The release takes cosines of weights instead.)

    Source: "Classifier-guided Gradient Modulation for Enhanced Multimodal Learning", NeurIPS 2024,
    arXiv 2411.01409 (equations from memory and from the release).

    Args:
        rho: Factor of all scales; with M / (M - 1) it is joint as long as no modality gains.

    Example:
        >>> CGGM(rho=1.3).factors(torch.tensor([0.02, 0.08]))
        tensor([1.0400, 0.2600])
    """

    name = "cggm"
    facts = Facts(
        source="CGGM, NeurIPS 2024, arXiv 2411.01409",
        family="gradients",
        needs="unimodal heads, classes",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"rho": FACTOR},
    )
    requires = frozenset({JOINT})

    rho: float = 1.3

    def __post_init__(self) -> None:
        check_not_negative(rho=self.rho)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        check_classes(self.name, setup.target)
        return _Accuracies(setup)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        right = {}
        for modality in view.features:
            truth = view.having(modality, view.label)
            right[modality] = (view.logits[modality].argmax(1) == truth).float()
        return right

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, _Accuracies)
        accuracies = torch.stack(list(evidence.values()))
        gains = memory.known * (accuracies - memory.before)
        memory.before.copy_(torch.where(evidence.complete, accuracies, memory.before))
        memory.known.copy_(torch.where(evidence.complete, 1.0, memory.known))
        return dict(zip(evidence, self.factors(gains).unbind(), strict=True))

    def factors(self, gains: Tensor) -> Tensor:
        """Factors [M] from gains in accuracy [M]; a single modality has no other to wait for."""
        if len(gains) == 1:
            return torch.ones_like(gains)
        positive = gains.clamp(min=0)
        total = positive.sum()
        shares = torch.where(total > 0, positive / total, 1 / len(gains))
        return self.rho * (1 - shares)
