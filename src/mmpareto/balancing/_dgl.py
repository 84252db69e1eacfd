from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmpareto.balancing._facts import Facts
from mmpareto.balancing._method import LossWeighting
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class DGL(LossWeighting):
    """Encoders learn from their own losses only; the joint loss trains what fuses them.

    The opposite of `Joint`: no modality can hold another back, and none can learn from another.
    With late fusion it is independent unimodal training, read by a joint head.

    Source: disentangled gradient learning as in the baseline code of SimBaMM (Rheude et al., 2025).

    Example:
        >>> DGL().loss_weights(["joint", "audio", "visual"])
        [0.0, 1.0, 1.0]
    """

    name = "dgl"
    facts = Facts(
        source="SimBaMM (Rheude et al., 2025), baseline code",
        family="losses",
        needs="unimodal heads",
        modalities="any",
        forwards=1,
        backwards=1,
    )
    requires = frozenset({JOINT})

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return [float(objective != JOINT) for objective in objectives]
