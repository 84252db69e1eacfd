from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._epochs import Epochs
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._moment import Moment
from mmpareto.balancing._setup import Setup, Survey
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class InfoReg(LossWeighting):
    r"""Holds an encoder that is ahead near where its epoch began, while it takes information up.

    With :math:`\mathrm{Tr}_m` the mean squared length of encoder m's gradient over an epoch (the
    trace of its Fisher information), s_m the mean log-probability that its share of the joint head
    gives to the truth, and D_m the mean of s_m - s_j over the modalities j that are weaker:

    .. math::
        g \leftarrow g + e^{\beta \tanh D_m} (w - w_{\text{epoch}}) \quad \text{if} \quad
        (\mathrm{Tr}_{t-1} - \mathrm{Tr}_{t-2}) / \mathrm{Tr}_{t-1} > K
        \ \text{and}\ D_m > 0

    Encoders learn from the joint loss alone. The paper's equation 8 has s = -log p and calls larger
    stronger; the sign is mended here. The first two epochs are free.

    Source: "Adaptive Unimodal Regulation for Balanced Multimodal Information Acquisition", CVPR
    2025, arXiv 2503.18595, equations 7 to 16.

    Args:
        beta: Strength.
        threshold: By which share the trace has to grow, K.
        form: ``"paper"``, or ``"release"``, which has the factor beta exp(tanh D).

    Example:
        >>> InfoReg(beta=0.95).strength(torch.tensor(0.3))
        tensor(1.3188)
    """

    name = "inforeg"
    facts = Facts(
        source="CVPR 2025, arXiv 2503.18595",
        family="gradients",
        needs="split model, classes, weights of the epoch's beginning",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"beta": Range(0.1, 2.0, "log"), "threshold": Range(0.01, 0.1, "log")},
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse", "confidence"})

    beta: float = 0.95
    threshold: float = 0.05
    form: Literal["paper", "release"] = "paper"

    def __post_init__(self) -> None:
        check_not_negative(beta=self.beta, threshold=self.threshold)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        return Epochs(setup)

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        assert isinstance(memory, Epochs)
        latest = memory.traces[0] / memory.steps.clamp(min=1)
        memory.traces.copy_(torch.stack([torch.zeros_like(latest), latest, memory.traces[1]]))
        memory.steps.zero_()
        for parameter in memory.anchors:
            memory.anchor(parameter).copy_(parameter)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        scores = {}
        for modality, confidence in view.confidences(view.slices).items():
            smallest = torch.finfo(confidence.dtype).tiny
            scores[modality] = confidence.clamp(min=smallest).log()
        return scores

    def strength(self, gap: Tensor) -> Tensor:
        """Factor of the pull, from the lead over weaker modalities."""
        if self.form == "release":
            return self.beta * gap.tanh().exp()
        return (self.beta * gap.tanh()).exp()

    def additions(self, moment: Moment, memory: nn.Module) -> Mapping[Tensor, Tensor]:
        assert isinstance(memory, Epochs)
        _, latest, before = memory.traces
        grows = (before > 0) & (latest - before > self.threshold * latest)
        memory.steps += 1
        added: dict[Tensor, Tensor] = {}
        for number, modality in enumerate(moment.encoders):
            gap = moment.evidence.lead(modality)
            active = moment.evidence.complete & grows[number] & (gap > 0)
            pull = torch.where(active, self.strength(gap), 0.0)
            for parameter, gradient in moment.on(modality).items():
                memory.traces[0, number] += gradient.to(memory.traces.dtype).square().sum()
                added[parameter] = pull.to(parameter.dtype) * (
                    parameter.detach() - memory.anchor(parameter)
                )
        return added
