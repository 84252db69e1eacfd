from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmpareto.balancing._facts import Facts
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._role import Role
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class Joint(LossWeighting):
    """Encoders learn from the joint loss alone: what multimodal training does by default.

    Unimodal losses, where given, still train their own heads, so that the encoders' quality can be
    read off them; they do not act on the encoders.

    Example:
        >>> Joint().loss_weights(["joint", "audio", "visual"])
        [1.0, 0.0, 0.0]
    """

    name = "joint"
    facts = Facts(
        source="the common baseline",
        family="losses",
        needs="a joint loss",
        modalities="any",
        forwards=1,
        backwards=1,
    )
    role = Role(
        "plain",
        0,
        "#595959",
        "o",
        "In joint, encoders learn from the joint loss alone and each modality's head reads them "
        "off.",
    )
    requires = frozenset({JOINT})

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return [float(objective == JOINT) for objective in objectives]
