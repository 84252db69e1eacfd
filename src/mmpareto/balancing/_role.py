"""The part that a method plays where methods are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["plain", "reference", "control", "competitor", "subject", "apart"]
"""What a method is compared as.

``plain`` is what multimodal training does by default; every other score is compared with that of
the ``reference``; the ``control`` has the subject's longer step and not its direction; the
``subject`` is the one whose gain is attributed; in what is trained ``apart`` no modality disturbs
another; a ``competitor`` is any other.
"""


@dataclass(frozen=True)
class Role:
    """How a method takes part in comparisons: those with a role are compared by default.

    Args:
        part: What it is compared as.
        place: Its place in tables and figures.
        colour: Its colour in every figure.
        marker: Its marker in every figure.
        note: A sentence below tables that have the method.
    """

    part: Part
    place: int
    colour: str
    marker: str
    note: str = ""
