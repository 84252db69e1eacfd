"""How the learning rate changes over a training."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import math
from dataclasses import dataclass
from typing import Literal

from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes over a training.

    A learning rate is a function of the step's number alone, so that an interrupted training goes
    on as it would have.

    Args:
        kind: The rate stays (constant), falls to 0 along a line (linear) or half a wave (cosine),
            or is multiplied every now and then (step).
        warmup: Epochs, or a part of one, in which the rate rises to its full value first.
        every: For step, the number of epochs after which the rate is multiplied each time.
        factor: For step, what it is multiplied by.

    Example:
        >>> schedule = Schedule("linear", warmup=1)
        >>> [schedule.factor_at(step, epoch=2, total=6) for step in range(7)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    kind: Literal["constant", "step", "cosine", "linear"] = "constant"
    warmup: float = 0.0
    every: int = 30
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "step", "cosine", "linear"):
            raise MMParetoError(
                "Parameter `schedule.kind` should be constant, step, cosine or linear. Found "
                f"{self.kind!r}."
            )
        for name, least in (("warmup", 0), ("every", 1), ("factor", 0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise MMParetoError(
                    f"Parameter `schedule.{name}` should be finite and at least {least}. Found "
                    f"{value!r}."
                )

    @property
    def changes(self) -> bool:
        """Whether the rate ever changes."""
        return self.kind != "constant" or self.warmup > 0

    def factor_at(self, step: int, epoch: int, total: int) -> float:
        """The factor of the learning rate in a step.

        Args:
            step: Number of the step, from 0.
            epoch: Steps per epoch.
            total: Steps of the whole training.
        """
        rising = round(self.warmup * epoch)
        if step < rising:
            return (step + 1) / rising
        if self.kind == "constant":
            return 1.0
        if self.kind == "step":
            return float(self.factor ** (step // (self.every * epoch)))
        passed = min(1.0, (step - rising) / max(1, total - rising))
        return 1 - passed if self.kind == "linear" else (1 + math.cos(math.pi * passed)) / 2
