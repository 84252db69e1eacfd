from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._view import View
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class MLB(LossWeighting):
    r"""Multi-loss balancing: the plain sum, the laggard's encoder sped up, the leader's slowed.

    With s_m the mean probability that modality m's own head gives to the truth:

    .. math::
        r_m = \mathrm{mean}_{j \ne m} s_j / s_m, \qquad
        c_m = 1 + \tanh(\alpha (r_m - 1)) \cdot
        \begin{cases} \beta - 1 & r_m > 1 \\ 1 & \text{else} \end{cases}

    Here c acts on the encoder's gradient alone, not on the part of the joint head that reads it.

    Source: Kontras et al., "Improving Multimodal Learning with Multi-Loss Gradient Modulation",
    BMVC 2024, arXiv 2405.07930.

    Args:
        alpha: How fast the factors saturate; 0 gives the plain sum.
        beta: Largest factor, at least 1.

    Example:
        >>> scores = {"audio": torch.tensor(0.8), "visual": torch.tensor(0.5)}
        >>> MLB(alpha=1.0, beta=2.0).scales(Evidence(scores, torch.tensor(True)), torch.nn.Module())
        {'audio': tensor(0.6416), 'visual': tensor(1.5370)}
    """

    name = "mlb"
    facts = Facts(
        source="Kontras et al., BMVC 2024, arXiv 2405.07930",
        family="gradients",
        needs="unimodal heads, classes",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"alpha": Range(0.1, 2.0, "log"), "beta": Range(1.0, 3.0)},
    )
    relies_on = frozenset({"confidence"})

    alpha: float = 1.0
    beta: float = 2.0

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha, beta=self.beta)
        if self.beta < 1:
            raise MMParetoError(f"Parameter `beta` should be at least 1. Found {self.beta!r}.")

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        return view.confidences({m: view.logits[m] for m in view.features})

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        factors = {}
        for modality in evidence:
            ratio = 1 / evidence.ratio(modality)
            change = (self.alpha * (ratio - 1)).tanh()
            factors[modality] = 1 + torch.where(ratio > 1, (self.beta - 1) * change, change)
        return factors
