"""What a comparison shows: one row per method, and what the gain comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpareto.compare._results import Result, methods, modalities, scores, values
from mmpareto.compare._statistics import Difference, Spread, paired_difference, spread

REFERENCE = "uniform"


@dataclass(frozen=True)
class Row:
    """One method's line of the table; spreads are over seeds, scores and conflict rates fractions.

    `difference` is the paired difference in test joint score from ``uniform``; None for ``uniform``
    itself.
    """

    method: str
    joint: Spread
    unimodal: Mapping[str, Spread]
    conflicts: Mapping[str, Spread]
    seconds: Spread
    difference: Difference | None


@dataclass(frozen=True)
class Contribution:
    """A part of the gain: the paired difference of test joint scores, `method` minus `control`."""

    part: str
    method: str
    control: str
    difference: Difference


def comparisons(results: Sequence[Result]) -> int:
    """Number of differences that a report shows, for which its intervals hold together.

    These are each method's from ``uniform``, and MMPareto's from ``scaled-uniform``.
    """
    measured = {name for name in methods(results) if scores(results, name)}
    return max(1, len(measured - {REFERENCE}) + ({"mmpareto", "scaled-uniform"} <= measured))


def table_rows(results: Sequence[Result]) -> list[Row]:
    """One row per method, in the order of the tables.

    The intervals hold for all differences of the report together, see `comparisons`.

    Args:
        results: Results on one data set.

    Returns:
        The rows; spreads of what was not measured have count 0.

    Raises:
        MMParetoError: If the results are on several data sets.
    """
    names, parts = methods(results), modalities(results)
    reference, together = scores(results, REFERENCE), comparisons(results)

    def training(method: str, metric: str) -> Spread:
        return spread(values(results, method, metric, "train").values())

    return [
        Row(
            method=name,
            joint=spread(scores(results, name).values()),
            unimodal={part: spread(scores(results, name, part).values()) for part in parts},
            conflicts={part: training(name, f"conflict_rate/{part}") for part in parts},
            seconds=training(name, "seconds"),
            difference=None
            if name == REFERENCE
            else paired_difference(scores(results, name), reference, together),
        )
        for name in names
    ]


def attribution(results: Sequence[Result]) -> list[Contribution]:
    """What MMPareto's gain over the uniform sum comes from, with the intervals of the table.

    ``total`` is MMPareto minus uniform; ``magnitude``, uniform with longer encoder steps minus
    uniform; ``direction``, MMPareto minus uniform with longer encoder steps.

    Args:
        results: Results on one data set.

    Returns:
        The three contributions; one whose methods were not both measured has a difference without
        seeds.

    Raises:
        MMParetoError: If the results are on several data sets.
    """
    parts = {
        "total": ("mmpareto", REFERENCE),
        "magnitude": ("scaled-uniform", REFERENCE),
        "direction": ("mmpareto", "scaled-uniform"),
    }
    together = comparisons(results)
    joint = {name: scores(results, name) for pair in parts.values() for name in pair}
    return [
        Contribution(part, a, b, paired_difference(joint[a], joint[b], together))
        for part, (a, b) in parts.items()
    ]
