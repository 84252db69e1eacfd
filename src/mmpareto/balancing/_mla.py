from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._moment import Moment
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._shared_head import Projection, share_head
from mmpareto.balancing._shares import certainty_weights
from mmpareto.balancing._view import View
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class MLA(LossWeighting):
    r"""Alternating unimodal adaptation: one modality at a time, and one head for all of them.

    Each batch makes one step per modality, by that modality's own loss through a shared head; there
    is no joint loss. The head's gradient keeps out of directions that earlier batches used: with h
    the mean feature of the batch,

    .. math::
        \nabla W \leftarrow \nabla W P, \qquad
        q = \frac{P h}{\alpha + h^\top P h}, \qquad P \leftarrow P - q \, h^\top P

    The joint prediction of a sample is the sum of its modalities' logits, weighted by the softmax
    of minus the entropies of their predictions.

    (In the release the projection never runs: it looks for a parameter that a linear layer does not
    have.)

    Source: Zhang et al., "Multimodal Representation Learning by Alternating Unimodal Adaptation",
    CVPR 2024, arXiv 2311.10707 (equations from memory).

    Args:
        alpha: Keeps the projection from forgetting at once; positive. The larger, the less it does.

    Example:
        >>> MLA(alpha=0.1).projected(torch.eye(2), torch.ones(2))
        tensor([[ 0.5238, -0.4762],
                [-0.4762,  0.5238]])
    """

    name = "mla"
    facts = Facts(
        source="Zhang et al., CVPR 2024, arXiv 2311.10707",
        family="alternation",
        needs="late fusion with features of equal widths, a step per modality and batch",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"alpha": Range(0.01, 10.0, "log")},
    )
    relies_on = frozenset({"fuse"})

    alpha: float = 0.1

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha)
        if self.alpha == 0:
            raise MMParetoError("Parameter `alpha` should be positive. Found 0.")

    def adapt(self, model: nn.Module) -> None:
        share_head(model, self.name)

    def turns(self, modalities: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return [(modality,) for modality in modalities]

    def memory(self, setup: Setup) -> nn.Module:
        heads = getattr(setup.encoders.model, "unimodal", {})
        return Projection(setup, next(iter(heads.values())).weight)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        features = {}
        for modality, values in view.features.items():
            features[modality] = view.having(modality, values)
        return features

    def width(self, memory: nn.Module) -> tuple[int, ...]:
        assert isinstance(memory, Projection)
        return (len(memory.p),)

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        return {modality: view.losses[modality] for modality in view.features}

    def additions(self, moment: Moment, memory: nn.Module) -> Mapping[Tensor, Tensor]:
        assert isinstance(memory, Projection)
        (weight,) = memory.weights
        added = {}
        if weight in moment.gradients:
            gradient = moment.gradients[weight]
            added[weight] = gradient @ memory.p.to(gradient.dtype) - gradient
        for mean in moment.evidence.values():  # zero of the modalities whose turn it is not
            memory.p.copy_(self.projected(memory.p, mean))
        return added

    def projected(self, p: Tensor, h: Tensor) -> Tensor:
        """The matrix P [width, width] after a batch of mean feature h [width]."""
        ph = p @ h
        return p - torch.outer(ph, ph) / (self.alpha + h @ ph)

    def combine(self, joint: Tensor, unimodal: Mapping[str, Tensor]) -> Tensor:
        logits = torch.stack(list(unimodal.values()))
        weights = certainty_weights(logits)
        return (weights[..., None] * logits.nan_to_num()).sum(0)
