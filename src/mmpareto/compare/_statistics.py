"""Spreads over seeds, and paired differences with intervals that say what is resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

LEVEL = 0.95
POWER = 0.8
"""Probability with which a difference that is there should be resolved."""
MOST_SEEDS = 1000
"""Seeds beyond which nobody asks how many more."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation; NaN where too few values define them.

    Args:
        mean: Mean of the values.
        sd: Their sample standard deviation.
        count: Their number.
    """

    mean: float
    sd: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with a simultaneous confidence interval.

    The units are those of the values.

    Args:
        mean: Mean over the common seeds; NaN without any.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end of the interval; NaN where there is none.
        p_value: Two-sided paired t test, multiplied by the number of comparisons (at most 1); NaN
            without interval.
        seeds: The common seeds, ascending.
        reason: Why there is no interval; empty where there is one.
        sd: Sample standard deviation of the paired differences; NaN where there is no interval.
        comparisons: Number of differences whose intervals hold together.
    """

    mean: float
    low: float
    high: float
    p_value: float
    seeds: tuple[int, ...]
    reason: str = ""
    sd: float = math.nan
    comparisons: int = 1

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
    with np.errstate(invalid="ignore"):  # the deviation of infinite values is NaN
        mean = float(x.mean()) if x.size else math.nan
        sd = float(x.std(ddof=1)) if x.size > 1 else math.nan
    return Spread(mean, sd, x.size)


def half_width(sample: Spread, comparisons: int = 1) -> float:
    """Half the width of the t interval of a mean, which holds for several intervals together.

    Source: Student's t; Bonferroni's inequality, by which each interval has level
    ``1 - 0.05 / comparisons``.

    Args:
        sample: Spread of the values.
        comparisons: Number of intervals that hold together with 95%.

    Returns:
        Half the width, in the units of the values; NaN for fewer than two values.
    """
    if sample.count < 2:
        return math.nan
    quantile = float(stdtrit(sample.count - 1, 1 - (1 - LEVEL) / comparisons / 2))
    return quantile * sample.sd / math.sqrt(sample.count)


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
        >>> first, second = {0: 0.80, 1: 0.83, 2: 0.79}, {0: 0.70, 1: 0.72, 2: 0.70, 3: 0.71}
        >>> difference = paired_difference(first, second)
        >>> f"{difference.mean:.3f} [{difference.low:.3f}, {difference.high:.3f}]"
        '0.100 [0.075, 0.125]'
        >>> difference.seeds, difference.resolved
        ((0, 1, 2), True)
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    pairs = np.array([(first[seed], second[seed]) for seed in seeds]).reshape(-1, 2)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN
        sample = spread(pairs[:, 0] - pairs[:, 1])
    reason = _no_interval(pairs, sample)
    if reason:
        return Difference(sample.mean, math.nan, math.nan, math.nan, seeds, reason)
    half = half_width(sample, comparisons)
    low, high = sample.mean - half, sample.mean + half
    t = sample.mean / (sample.sd / math.sqrt(sample.count))
    p_value = min(1.0, comparisons * 2 * float(stdtr(sample.count - 1, -abs(t))))
    return Difference(sample.mean, low, high, p_value, seeds, sd=sample.sd, comparisons=comparisons)


def seeds_to_resolve(size: float, difference: Difference) -> int | None:
    """How many seeds would resolve a difference of some size with a probability of 80%.

    It is the least number for which the paired t test has that power, with the level of the
    intervals and the spread that was seen. This is itself an estimate, from few seeds a rough one.

    Args:
        size: The difference, not 0, in the units of the values.
        difference: What was seen, with an interval.

    Returns:
        The number; None if it is more than `MOST_SEEDS`.

    Example:
        >>> seen = paired_difference({0: 0.8, 1: 0.83, 2: 0.79}, {0: 0.7, 1: 0.72, 2: 0.7})
        >>> seeds_to_resolve(seen.mean, seen), seeds_to_resolve(1e-6, seen)
        (3, None)
    """
    counts = np.arange(2, MOST_SEEDS + 1)
    quantiles = stdtrit(counts - 1, 1 - (1 - LEVEL) / difference.comparisons / 2)
    shifts = abs(size) / difference.sd * np.sqrt(counts)
    missed = np.nan_to_num(nctdtr(counts - 1, shifts, quantiles))  # 0 where it is far out
    enough = counts[1 - missed >= POWER]
    return int(enough[0]) if len(enough) else None


def _no_interval(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]], sample: Spread) -> str:
    """Why the differences of the pairs have no interval; empty where they have one."""
    if sample.count == 0:
        return "the two have no seed in common"
    if sample.count == 1:
        return "one seed gives no interval"
    if not math.isfinite(sample.mean):
        return "a value is not finite"
    if sample.sd <= 1e-12 * np.abs(pairs).max():  # zero up to the rounding of the subtraction
        equal = np.array_equal(pairs[:, 0], pairs[:, 1])
        finding = "are equal" if equal else "differ by the same amount"
        return f"the two {finding} on all {sample.count} seeds, which gives no interval"
    return ""
