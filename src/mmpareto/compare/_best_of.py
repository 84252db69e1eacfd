"""What a budget is worth: the best of some points against how many they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mmpareto.compare._trials import Trial


def point_scores(trials: Iterable[Trial], seeds: int) -> dict[str, dict[int, float]]:
    """Mean validation score of each method at each point, points ascending.

    Args:
        trials: Single scores.
        seeds: Number of seeds; a point with a score that is missing or not finite is left out.
    """
    scores: dict[str, dict[int, list[float]]] = {}
    for trial in trials:
        if math.isfinite(trial.value):
            scores.setdefault(trial.method, {}).setdefault(trial.point, []).append(trial.value)
    means: dict[str, dict[int, float]] = {}
    for method, by_point in scores.items():
        complete = {point: values for point, values in by_point.items() if len(values) == seeds}
        for point, values in sorted(complete.items()):
            means.setdefault(method, {})[point] = math.fsum(values) / seeds
    return means


def best_points(scores: Mapping[int, float]) -> list[int]:
    """Points from the best to the worst; of equal ones the lower number comes first."""
    return sorted(scores, key=lambda point: (-scores[point], point))


def best_of(scores: Sequence[float]) -> list[float]:
    r"""Expected best score of k points drawn out of those tried, for k from 1 to their number.

    Of N scores in ascending order :math:`v_1 \le \ldots \le v_N` it is :math:`\sum_i v_i
    \binom{i-1}{k-1} / \binom{N}{k}`: each k of the points are as likely, so that the order in which
    they were tried means nothing. After J. Dodge et al., Show Your Work, EMNLP 2019, who draw with
    replacement.

    Args:
        scores: Scores of the points.

    Example:
        >>> best_of([0.75, 0.0, 0.75])
        [0.5, 0.75, 0.75]
    """
    ascending, count = sorted(scores), len(scores)
    expected: list[float] = []
    for drawn in range(1, count + 1):
        total = math.fsum(
            score * math.comb(below, drawn - 1) for below, score in enumerate(ascending)
        )
        expected.append(total / math.comb(count, drawn))
    return expected


def budgets(largest: int) -> list[int]:
    """The numbers of points that are shown: powers of two, and the largest.

    Example:
        >>> budgets(12)
        [1, 2, 4, 8, 12]
    """
    powers = [2**power for power in range(largest.bit_length())]
    return sorted({*powers, largest})
