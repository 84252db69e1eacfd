from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmpareto.balancing._checks import check_gamma
from mmpareto.balancing._facts import FACTOR, Facts
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._role import Role


@dataclass(frozen=True)
class Uniform(LossWeighting):
    """The plain sum of all losses, the baseline of the MMPareto paper.

    Example:
        >>> Uniform().loss_weights(["joint", "audio", "visual"])
        [1.0, 1.0, 1.0]
    """

    name = "uniform"
    facts = Facts(
        source="the baseline of Wei and Hu, ICML 2024, arXiv 2405.17730",
        family="losses",
        needs="losses",
        modalities="any",
        forwards=1,
        backwards=1,
    )
    role = Role("reference", 1, "#0072B2", "s")

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return [1.0] * len(objectives)


@dataclass(frozen=True)
class ScaledUniform(LossWeighting):
    """The plain sum, scaled by a constant in the encoders: the control for MMPareto's magnitude.

    In a step without conflict MMPareto is exactly this. What it gains over `ScaledUniform` comes
    from the direction it takes in conflicts; what both gain over `Uniform` comes from the larger
    step. Under Adam and other optimizers that normalize the gradient a constant factor does
    nothing.

    Args:
        gamma: Factor, positive and finite.

    Example:
        >>> ScaledUniform(gamma=1.5).loss_weights(["joint", "audio"])
        [1.5, 1.5]
    """

    name = "scaled-uniform"
    facts = Facts(
        source="a control: what MMPareto is in steps without conflict",
        family="losses",
        needs="losses",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"gamma": FACTOR},
    )
    role = Role("control", 2, "#56B4E9", "D")

    gamma: float = 1.5

    def __post_init__(self) -> None:
        check_gamma(self.gamma)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return [float(self.gamma)] * len(objectives)
