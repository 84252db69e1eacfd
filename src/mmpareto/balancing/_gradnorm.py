from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._task_weights import TaskWeights, squared_lengths
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT

_SMALLEST = 0.1  # of a weight: at 0 a loss would teach nothing for good


@dataclass(frozen=True)
class GradNorm(LossWeighting):
    r"""Gradient normalization: learned weights, by which losses that lag pull harder.

    Every encoder has two tasks, the joint loss and its own, with weights w of its own. With G_i =
    w_i |g_i| and r_i the loss over its first value, divided by the mean of both such ratios:

    .. math::
        w_i \leftarrow w_i - \eta \frac{|g_i|}{\mathrm{mean}_j |g_j|} \,
        \mathrm{sign}(G_i - \mathrm{mean}_j G_j \cdot r_i^{\alpha})

    and then both are divided by their mean. This is the descent of :math:`\sum_i |G_i -
    \mathrm{mean}_j G_j \, r_i^\alpha|` with the target held constant, in units in which a common
    factor of the gradients counts for nothing. No weight falls below 0.1.

    The paper measures at the weights of the last shared layer; here g_i is the gradient at the
    encoder's features, its length the root mean square over samples, which takes no pass through
    the encoder. The modality's own head learns with the ratio of its weight to that of the joint
    loss, the joint head without weight.

    Source: Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
    Multitask Networks", ICML 2018, arXiv 1711.02257.

    Args:
        alpha: How much more a loss that lags may pull; 0 for equal pulls.
        rate: The step eta of the weights; 0 is uniform.

    Example:
        >>> pulls, ratios = torch.tensor([1.0, 2.0**0.5]), torch.tensor([0.5, 1.0])
        >>> GradNorm(alpha=1.5).targets(pulls, ratios)
        tensor([0.6571, 1.8585])
    """

    name = "gradnorm"
    facts = Facts(
        source="Chen et al., ICML 2018, arXiv 1711.02257",
        family="gradients",
        needs="unimodal heads, features",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"alpha": Range(0.0, 3.0), "rate": Range(0.001, 0.1, "log")},
    )
    requires = frozenset({JOINT})

    alpha: float = 1.5
    rate: float = 0.025

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha, rate=self.rate)

    def memory(self, setup: Setup) -> nn.Module:
        return TaskWeights(setup)

    def width(self, memory: nn.Module) -> tuple[int, ...]:
        return (4,)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        shown = {}
        for modality, feature in view.features.items():
            truth = view.having(modality, view.label)
            joint = view.having(modality, view.logits[JOINT])
            columns = [
                view.target.losses(joint, truth),
                view.target.losses(view.logits[modality], truth),
                view.having(modality, squared_lengths(view, JOINT, feature)),
                view.having(modality, squared_lengths(view, modality, feature)),
            ]
            shown[modality] = torch.stack(columns, 1)
        return shown

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, TaskWeights)
        losses = dict(view.losses)
        for modality, (joint, unimodal) in zip(memory.modalities, memory.weights, strict=True):
            if modality in losses:
                losses[modality] = unimodal / joint * losses[modality]
        return losses

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, TaskWeights)
        before = memory.weights.clone()
        columns = torch.stack(list(evidence.values()))
        losses, squares = columns[:, :2], columns[:, 2:]
        first = torch.where(memory.first > 0, memory.first, losses)
        lengths = squares.sqrt()
        pulls = before * lengths
        tiny = torch.finfo(lengths.dtype).tiny
        excess = (pulls - self.targets(pulls, losses / first.clamp(min=tiny))).sign()
        slope = lengths / lengths.mean(1, keepdim=True).clamp(min=tiny) * excess
        weights = (before - self.rate * slope).clamp(min=_SMALLEST)
        weights = weights / weights.mean(1, keepdim=True)
        memory.first.copy_(torch.where(evidence.complete, first, memory.first))
        memory.weights.copy_(torch.where(evidence.complete, weights, before))
        return dict(zip(evidence, before[:, 0], strict=True))

    def targets(self, pulls: Tensor, ratios: Tensor) -> Tensor:
        """The lengths [..., 2] to aim at, from those of now and the losses over their first."""
        relative = ratios / ratios.mean(-1, keepdim=True).clamp(min=torch.finfo(ratios.dtype).tiny)
        return pulls.mean(-1, keepdim=True) * relative**self.alpha
