from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_shares
from mmpareto.balancing._dropping import joint_loss_dropping
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Names, Setup
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class ModalityDropout(LossWeighting):
    """The joint loss alone, where each sample loses each modality's features at random.

    The control for methods that weaken the stronger modality: here none is singled out. What is
    kept is divided by ``1 - rate``; a sample that would lose all its modalities keeps them.

    Source: Neverova et al., "ModDrop: Adaptive Multi-modal Gesture Recognition", TPAMI 2016, arXiv
    1501.00102.

    Args:
        rate: Probability with which a sample loses a modality; 0 is joint.

    Example:
        >>> ModalityDropout(rate=0.3).loss_weights(["joint", "audio"])
        [1.0, 0.0]
    """

    name = "modality-dropout"
    facts = Facts(
        source="Neverova et al., TPAMI 2016, arXiv 1501.00102",
        family="features",
        needs="split model",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"rate": Range(0.1, 0.5)},
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse"})

    rate: float = 0.3

    def __post_init__(self) -> None:
        check_shares(rate=self.rate)
        if self.rate == 1:
            raise MMParetoError("Parameter `rate` should be less than 1. Found 1.")

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        return Names(setup.encoders)

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, Names)
        if not view.features:
            return view.losses
        loss = view.losses[JOINT]
        dtype = torch.promote_types(loss.dtype, torch.float32)
        rates = torch.full_like(loss, self.rate, dtype=dtype).expand(len(memory.modalities))
        return {**view.losses, JOINT: joint_loss_dropping(view, memory.modalities, rates)}
