"""Spreads over seeds, and paired differences with intervals that say what is resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of `count` values; NaN where too few values define them."""

    mean: float
    sd: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with a simultaneous confidence interval, in the units of the values.

    Args:
        mean: Mean over the common seeds; NaN without any.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end of the interval; NaN where there is none.
        p_value: Two-sided paired t test, multiplied by the number of comparisons (at most 1); NaN
            without interval.
        seeds: The common seeds, ascending.
        reason: Why there is no interval; empty where there is one.
    """

    mean: float
    low: float
    high: float
    p_value: float
    seeds: tuple[int, ...]
    reason: str = ""

    @property
    def resolved(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def spread(sample: Iterable[float]) -> Spread:
    """Mean and sample standard deviation.

    Args:
        sample: Any number of values.

    Returns:
        The spread; the mean of no value and the deviation of fewer than two are NaN.

    Example:
        >>> spread([0.25, 0.75, 0.5])
        Spread(mean=0.5, sd=0.25, count=3)
    """
    x = np.fromiter(sample, float)
    with np.errstate(invalid="ignore"):  # of infinite values the deviation is NaN
        mean, sd = (
            (float(x.mean()) if x.size else math.nan),
            (float(x.std(ddof=1)) if x.size > 1 else math.nan),
        )
    return Spread(mean, sd, x.size)


def half_width(of: Spread, comparisons: int = 1) -> float:
    """Half the width of the t interval of a mean: 95%, for all of `comparisons` intervals together.

    Source: Student's t; Bonferroni's inequality, by which each interval has level ``1 - 0.05 / comparisons``.
    NaN for fewer than two values.
    """
    quantile = (
        stdtrit(of.count - 1, 1 - (1 - LEVEL) / comparisons / 2) if of.count > 1 else math.nan
    )
    return float(quantile) * of.sd / math.sqrt(max(of.count, 1))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], comparisons: int = 1
) -> Difference:
    """Mean of ``first - second`` over the seeds that both have, with a paired t interval.

    The 95% hold for `comparisons` intervals together (Bonferroni). There is no interval, and so
    nothing is resolved, for fewer than two common seeds, for a value that is not finite, and for
    differences that are all equal, which give no estimate of the noise.

    Args:
        first: Seed -> value.
        second: Seed -> value.
        comparisons: Number of differences that are looked at together, at least 1.

    Returns:
        The difference.

    Example:
        >>> d = paired_difference({0: 0.80, 1: 0.83, 2: 0.79}, {0: 0.70, 1: 0.72, 2: 0.70, 3: 0.71})
        >>> f"{d.mean:.3f} [{d.low:.3f}, {d.high:.3f}] over seeds {d.seeds}: {'' if d.resolved else 'not '}resolved"
        '0.100 [0.075, 0.125] over seeds (0, 1, 2): resolved'
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    pairs = np.array([(first[seed], second[seed]) for seed in seeds]).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        of = spread(pairs[:, 0] - pairs[:, 1])
    if reason := _no_interval(pairs, of):
        return Difference(of.mean, math.nan, math.nan, math.nan, seeds, reason)
    half = half_width(of, comparisons)
    p = 2 * float(stdtr(of.count - 1, -abs(of.mean) / (of.sd / math.sqrt(of.count))))
    return Difference(of.mean, of.mean - half, of.mean + half, min(1.0, comparisons * p), seeds)


def _no_interval(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]], of: Spread) -> str:
    if of.count < 2:
        return "one seed gives no interval" if of.count else "the two have no seed in common"
    if not math.isfinite(of.mean):
        return "a value is not finite"
    if of.sd <= 1e-12 * np.abs(pairs).max():  # zero up to the rounding of the subtraction
        what = "differ by the same amount" if np.any(pairs[:, 0] != pairs[:, 1]) else "are equal"
        return f"the two {what} on all {of.count} seeds, which gives no interval"
    return ""
