from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmpareto.balancing._checks import check_shares
from mmpareto.balancing._dropping import presence
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._view import View, check_classes
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class LFM(LossWeighting):
    r"""Classification limited by alignment: the heads learn to agree first, to be right later.

    The joint prediction is the mean of the modalities' own logits z_m, in training and after it:

    .. math:: L = 2 \left[ a_1 \, \mathrm{CE}(\mathrm{mean}_m z_m) + (1 - a_1)\, \mathrm{mean}_{m<j}
              \mathrm{JS}(p_m, p_j) \right]

    with a_1 growing linearly over the epochs (the heuristic by epoch; the release has a polynomial
    fitted to CREMA-D, of which these are the ends; learned weights are of second order and left
    out). Defined for two; for more the divergence is the mean over pairs.

    Source: "Facilitating Multimodal Classification via Dynamically Learning Modality Gap", NeurIPS
    2024 (equation from memory).

    Args:
        first: a_1 in the first epoch.
        last: a_1 from epoch `epochs` on.
        epochs: In how many epochs it grows.
        divergence: ``"js"``, or ``"release"``, which exchanges the arguments of its two terms.

    Example:
        >>> p, q = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()
        >>> LFM().gap(p, q)
        tensor([0.0507])
    """

    name = "lfm"
    facts = Facts(
        source="LFM, NeurIPS 2024",
        family="losses",
        needs="unimodal heads, classes",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={
            "first": Range(0.05, 0.95),
            "last": Range(0.05, 1.0),
            "epochs": Range(10, 100, "log"),
        },
    )
    requires = frozenset({JOINT})

    first: float = 0.2
    last: float = 0.54
    epochs: int = 100
    divergence: Literal["js", "release"] = "js"

    def __post_init__(self) -> None:
        check_shares(first=self.first, last=self.last)
        if not isinstance(self.epochs, int) or self.epochs < 1:
            raise MMParetoError(f"Parameter `epochs` should be at least 1. Found {self.epochs!r}.")

    def memory(self, setup: Setup) -> nn.Module:
        check_classes(self.name, setup.target)
        return nn.Module()

    def share(self, epoch: int) -> float:
        """The weight a_1 of the classification."""
        return self.first + (self.last - self.first) * min(1.0, epoch / self.epochs)

    def gap(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Divergence [n] of two distributions [n, classes], given as logarithms."""
        log_m = ((log_p.exp() + log_q.exp()) / 2).log()
        terms = []
        for log_one in (log_p, log_q):
            given, reference = (log_one, log_m) if self.divergence == "js" else (log_m, log_one)
            terms.append((given.exp() * (given - reference)).sum(1))
        return (terms[0] + terms[1]) / 2

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        if not view.features:
            return view.losses
        logits = {modality: view.spread(modality) for modality in view.features}
        has = {modality: presence(view, modality) for modality in view.features}
        mean = self.combine(next(iter(logits.values())), logits)
        share = self.share(view.epoch)
        gaps = []
        for one, other in combinations(logits, 2):
            both = has[one] & has[other]
            apart = self.gap(
                functional.log_softmax(torch.where(both[:, None], logits[one], 0.0), 1),
                functional.log_softmax(torch.where(both[:, None], logits[other], 0.0), 1),
            )
            gaps.append(apart.sum() / both.sum().clamp(min=1))
        total = share * view.joint_loss(mean)
        if gaps:
            total = total + (1 - share) * torch.stack(gaps).mean()
        return {JOINT: 2 * total}

    def combine(self, joint: Tensor, unimodal: Mapping[str, Tensor]) -> Tensor:
        stacked = torch.stack(list(unimodal.values()))
        known = ~stacked.isnan()
        return torch.where(known, stacked, 0.0).sum(0) / known.sum(0).clamp(min=1)
