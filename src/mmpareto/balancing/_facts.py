"""What a reader of results must know of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Range = tuple[float, float, Literal["log", "linear"]]
"""The values of a setting worth trying: from, to, and how they are spaced."""


@dataclass(frozen=True)
class Facts:
    """What a reader of results must know of a method.

    Args:
        source: The paper.
        family: Methods of one kind have one family.
        needs: What it needs besides the losses, in words.
        modalities: For how many it is defined: any or two.
        passes: Passes through the whole model per step, as in ``1F + 1B``.
        forwards: Forward passes of the whole model per step.
        backwards: Backward passes of the whole model per step.
        uses_validation: Whether it learns from the validation part; it gets a held-out part of the
            training part in its place.
        host_sync: Whether a step waits for the device.
        ranges: For settings the values worth trying.
    """

    source: str
    family: str
    needs: str
    modalities: Literal["any", "two"] = "any"
    passes: str = "1F + 1B"
    forwards: float = 1.0
    backwards: float = 1.0
    uses_validation: bool = False
    host_sync: bool = False
    ranges: Mapping[str, Range] = field(default_factory=dict)
