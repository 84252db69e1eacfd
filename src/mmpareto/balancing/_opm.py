from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative, check_shares
from mmpareto.balancing._dropping import joint_loss_dropping
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Names, Setup
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT


class _Rates(Names):
    """With what probability each modality is dropped in the next step."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.encoders)
        self.rates: Tensor
        self.register_buffer("rates", setup.zeros(len(self.modalities)))


@dataclass(frozen=True)
class OPM(LossWeighting):
    r"""On-the-fly prediction modulation: the leading modality's features are dropped at times.

    With s_m as in OGM-GE, of the step before, and :math:`\rho_m = s_m / \mathrm{mean}_{j \ne m}
    s_j`:

    .. math::
        q_m = q (1 + \lambda \tanh(\rho_m - 1)) \text{ where } \rho_m > 1, \text{ else } 0

    is the probability with which a sample loses modality m. What is kept is divided by
    :math:`1 - \theta`, with :math:`\theta` the mean of all q_m weighted by the features' widths.
    The weakest modality is never dropped, so that no sample of all modalities is left without.

    Source: Wei et al., "On-the-fly Modulation for Balanced Multimodal Learning", TPAMI 2024, arXiv
    2410.11582. The release drops in a share of its steps, by the ratios of the same step, and from
    epoch 6 on: `execute` = 0.7, `current` and `delay` = 6.

    Args:
        q: Base probability; 0 is joint.
        strength: The factor lambda.
        execute: Share of the steps in which anything is dropped.
        current: Whether the ratios are those of the same step.
        delay: Number of epochs at the beginning without.

    Example:
        >>> scores = {"audio": torch.tensor(1.3749593), "visual": torch.tensor(1.0)}
        >>> OPM().probabilities(Evidence(scores, torch.tensor(True)))
        tensor([0.5896, 0.0000])
    """

    name = "opm"
    facts = Facts(
        source="Wei et al., TPAMI 2024, arXiv 2410.11582",
        family="features",
        needs="split model, classes",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={
            "q": Range(0.1, 0.5),
            "strength": Range(0.1, 0.9),
            "execute": Range(0.5, 1.0),
            "delay": Range(0, 10),
        },
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse", "confidence"})

    q: float = 0.5
    strength: float = 0.5
    execute: float = 1.0
    current: bool = False
    delay: int = 0

    def __post_init__(self) -> None:
        check_not_negative(delay=self.delay)
        check_shares(q=self.q, strength=self.strength, execute=self.execute)
        check_shares(**{"q * (1 + strength)": self.q * (1 + self.strength)})

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        return _Rates(setup)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        return view.confidences(view.slices)

    def probabilities(self, evidence: Evidence) -> Tensor:
        """Probability [M] with which each modality is dropped."""
        rates = []
        for modality in evidence:
            rho = evidence.ratio(modality)
            rate = self.q * (1 + self.strength * (rho - 1).tanh())
            rates.append(torch.where(evidence.complete & (rho > 1), rate, 0.0))
        return torch.stack(rates)

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, _Rates)
        latest = self.probabilities(evidence)
        rates = latest if self.current else memory.rates.clone()
        memory.rates.copy_(latest)
        if view.epoch < self.delay or not view.features:
            return view.losses
        executed = view.once() < self.execute
        joint = joint_loss_dropping(view, memory.modalities, torch.where(executed, rates, 0.0))
        return {**view.losses, JOINT: joint}
