"""What a reader wants to know of a method before trying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Range:
    """The interval in which a setting is worth trying, both ends included.

    Args:
        low: Its lower end.
        high: Its upper end.
        scale: Whether points are spread evenly over it (linear), or their logarithms are (log).
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class Facts:
    """Where a method comes from, what it needs, and what it costs.

    Args:
        source: Authors, venue and arXiv number.
        family: What it acts on: ``"losses"``, ``"gradients"``, and so on.
        needs: What the training has to provide.
        modalities: How many it is defined for, ``"any"`` or ``"two"``.
        forwards: Passes forward through the whole model in a step.
        backwards: Passes back through the whole model in a step, for late fusion, where a
            modality's own loss reaches its encoder alone. A plain training has 1 of each. Where
            epochs differ, those of the dearest.
        uses_validation: Whether it learns from samples that are held out of the training part.
        host_sync: Whether a step waits for the device.
        ranges: For each setting that is a number, the interval in which it is worth trying.
    """

    source: str
    family: str
    needs: str
    modalities: Literal["any", "two"]
    forwards: float
    backwards: float
    uses_validation: bool = False
    host_sync: bool = False
    ranges: Mapping[str, Range] = field(default_factory=dict)


FACTOR = Range(0.5, 4.0, "log")
"""A factor of an encoder's step: as wide for a method as for its control."""


def gradient_facts(source: str, ranges: Mapping[str, Range] | None = None) -> Facts:
    """Facts of a method that reads nothing but the Gramian of each loss's gradients."""
    return Facts(
        source=source,
        family="gradients",
        needs="a gradient per loss",
        modalities="any",
        forwards=1,
        backwards=2,
        ranges=ranges or {},
    )
