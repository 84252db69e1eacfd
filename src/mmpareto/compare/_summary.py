"""What a comparison shows: one row per method, and what the gain comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpareto.compare._results import Result, measured, methods, modalities, scores, values
from mmpareto.compare._roles import CONTRASTS, REFERENCE
from mmpareto.compare._statistics import Difference, Spread, paired_difference, spread


@dataclass(frozen=True)
class MethodSummary:
    """One method's row of the table; spreads are over seeds, scores and conflict rates fractions.

    Args:
        method: Name of the method.
        joint: Test joint scores.
        unimodal: Test scores by modality.
        conflicts: Conflict rates by modality.
        seconds: Wall-clock times of a training.
        difference: Paired difference in test joint score from ``uniform``; None for ``uniform``.
    """

    method: str
    joint: Spread
    unimodal: Mapping[str, Spread]
    conflicts: Mapping[str, Spread]
    seconds: Spread
    difference: Difference | None


@dataclass(frozen=True)
class Contribution:
    """A part of the gain: the paired difference of test joint scores, `method` minus `control`.

    Args:
        part: ``"total"``, ``"magnitude"`` or ``"direction"``.
        title: Name of the part in sentences.
        method: The method.
        control: The method that lacks what this part measures.
        difference: Their paired difference.
    """

    part: str
    title: str
    method: str
    control: str
    difference: Difference


def comparisons(results: Sequence[Result]) -> int:
    """Number of differences that a report shows, for which its intervals hold together.

    These are each method's from ``uniform``, and MMPareto's from ``scaled-uniform``.
    """
    names = set(measured(results))
    pairs = {(name, REFERENCE) for name in names - {REFERENCE}}
    for _, _, method, control in CONTRASTS:
        if {method, control} <= names:
            pairs.add((method, control))
    return max(1, len(pairs))


def table_rows(results: Sequence[Result]) -> list[MethodSummary]:
    """One row per method, in the order of the tables.

    The intervals hold for all differences of the report together, see `comparisons`.

    Args:
        results: Results on one data set.

    Returns:
        The rows; spreads of what was not measured have count 0.

    Raises:
        MMParetoError: If the results are on several data sets.
    """
    count = comparisons(results)
    return [_summary(results, name, count) for name in methods(results)]


def _summary(results: Sequence[Result], method: str, count: int) -> MethodSummary:
    joint = scores(results, method)
    unimodal, conflicts = {}, {}
    for modality in modalities(results):
        unimodal[modality] = spread(scores(results, method, modality).values())
        conflicts[modality] = _training(results, method, f"conflict_rate/{modality}")
    difference = None
    if method != REFERENCE:
        difference = paired_difference(joint, scores(results, REFERENCE), count)
    return MethodSummary(
        method=method,
        joint=spread(joint.values()),
        unimodal=unimodal,
        conflicts=conflicts,
        seconds=_training(results, method, "seconds"),
        difference=difference,
    )


def _training(results: Sequence[Result], method: str, metric: str) -> Spread:
    return spread(values(results, method, metric, "train").values())


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
    count = comparisons(results)
    contributions = []
    for part, title, method, control in CONTRASTS:
        difference = paired_difference(scores(results, method), scores(results, control), count)
        contributions.append(Contribution(part, title, method, control, difference))
    return contributions
