"""What a comparison shows: one row per method, and what the gain comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpareto.compare._results import Result, methods, modalities, values
from mmpareto.compare._statistics import Difference, Spread, paired_difference, spread

REFERENCE = "uniform"


@dataclass(frozen=True)
class Row:
    """One method's line of the table; spreads are over seeds, accuracies and conflict rates fractions.

    `difference` is the paired difference in test joint accuracy from ``uniform``; None for ``uniform`` itself.
    """

    method: str
    joint: Spread
    unimodal: Mapping[str, Spread]
    conflicts: Mapping[str, Spread]
    seconds: Spread
    difference: Difference | None


@dataclass(frozen=True)
class Contribution:
    """A part of the gain: the paired difference of test joint accuracy, `method` minus `control`."""

    part: str
    method: str
    control: str
    difference: Difference


def comparisons(results: Sequence[Result]) -> int:
    """Number of differences that a report shows, for which its intervals hold together.

    These are each method's from ``uniform``, and MMPareto's from ``scaled-uniform``.
    """
    measured = {name for name in methods(results) if values(results, name, "joint_accuracy")}
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
    reference = values(results, REFERENCE, "joint_accuracy")
    together = comparisons(results)

    def of(method: str, metric: str, split: str = "test") -> Spread:
        return spread(values(results, method, metric, split).values())

    return [
        Row(
            method=name,
            joint=of(name, "joint_accuracy"),
            unimodal={part: of(name, f"{part}_accuracy") for part in parts},
            conflicts={part: of(name, f"conflict_rate/{part}", "train") for part in parts},
            seconds=of(name, "seconds", "train"),
            difference=None
            if name == REFERENCE
            else paired_difference(values(results, name, "joint_accuracy"), reference, together),
        )
        for name in names
    ]


def attribution(results: Sequence[Result]) -> list[Contribution]:
    """What MMPareto's gain over the uniform sum comes from, with the intervals of the table.

    ``total`` is MMPareto minus uniform; ``magnitude``, uniform with longer encoder steps minus uniform;
    ``direction``, MMPareto minus uniform with longer encoder steps.

    Args:
        results: Results on one data set.

    Returns:
        The three contributions; one whose methods were not both measured has a difference without seeds.

    Raises:
        MMParetoError: If the results are on several data sets.
    """
    parts = {
        "total": ("mmpareto", REFERENCE),
        "magnitude": ("scaled-uniform", REFERENCE),
        "direction": ("mmpareto", "scaled-uniform"),
    }
    together = comparisons(results)
    joint = {name: values(results, name, "joint_accuracy") for pair in parts.values() for name in pair}
    return [Contribution(part, a, b, paired_difference(joint[a], joint[b], together)) for part, (a, b) in parts.items()]
