"""Numbers and differences in words, none claiming more than its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmpareto.compare._results import Result, methods, score_of, scores
from mmpareto.compare._statistics import Difference, Spread
from mmpareto.compare._summary import REFERENCE, Contribution, Row

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
_PARTS = {
    "total": "Total",
    "magnitude": "Magnitude, the longer step of the encoders",
    "direction": "Direction, what is left beyond the longer step",
}


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal.

    Example:
        >>> percent(0.7349)
        '73.5'
    """
    return f"{100 * fraction:.1f}" if math.isfinite(fraction) else NONE


def points(fraction: float) -> str:
    """A difference of fractions in percentage points, with its sign.

    Example:
        >>> points(0.0132), points(-0.0132).replace(MINUS, "minus ")
        ('+1.3', 'minus 1.3')
    """
    return f"{100 * fraction:+.1f}".replace("-", MINUS) if math.isfinite(fraction) else NONE


def mean_sd(of: Spread) -> str:
    """A spread of fractions in percent: mean, and standard deviation where there is one."""
    return percent(of.mean) + (f" ±{percent(of.sd)}" if math.isfinite(of.sd) else "")


def interval(of: Difference) -> str:
    """The interval of a difference in points; empty where there is none."""
    return f"[{points(of.low)}, {points(of.high)}]" if not of.reason else ""


def p_value(of: Difference) -> str:
    """The p-value of a difference; empty where there is none."""
    if of.reason:
        return ""
    return f"p {of.p_value:.2f}" if of.p_value >= 0.01 else "p < 0.01"


def seeds(count: int) -> str:
    """Number of seeds, with its noun."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def verdict(of: Difference, title: str) -> str:
    """What a difference in the score of this title shows, as the end of a sentence."""
    if not of.seeds:
        return f"cannot be told: {of.reason}"
    if of.reason:
        return f"{points(of.mean)} points; not resolved: {of.reason}"
    found = f"{points(of.mean)} points, 95% interval {points(of.low)} to {points(of.high)}, {seeds(len(of.seeds))}"
    if of.resolved:
        return f"{found}; resolved: {'higher' if of.mean > 0 else 'lower'} joint {title}"
    return f"{found}; not resolved: a gain and a loss are both compatible with it"


def headline(results: Sequence[Result], rows: Sequence[Row]) -> str:
    """The comparison in one sentence or two.

    Args:
        results: The results.
        rows: Their rows.

    Returns:
        Which method has the highest mean, and whether it differs from ``uniform``.
    """
    title, measured = (
        score_of(results).title,
        [row for row in rows if math.isfinite(row.joint.mean)],
    )
    if not measured:
        return f"No training has a test {title} yet: there is nothing to compare."
    best = max(measured, key=lambda row: row.joint.mean)
    found = (
        f"{best.method} has the highest mean joint {title} on the test split of "
        f"{datasets(results)}: {percent(best.joint.mean)}% over {seeds(best.joint.count)}."
    )
    if best.difference is not None:
        return f"{found} Difference from {REFERENCE}: {verdict(best.difference, title)}."
    lower = [r.method for r in rows if r.difference is not None and r.difference.resolved]
    return f"{found} Resolved as lower: {', '.join(lower) or 'none'}."


def datasets(results: Sequence[Result]) -> str:
    """The name of the data set."""
    return ", ".join(dict.fromkeys(r.dataset for r in results)) or "no data set"


def attribution_sentences(
    results: Sequence[Result], contributions: Sequence[Contribution]
) -> list[str]:
    """One sentence per contribution.

    Args:
        results: The results.
        contributions: Of these results.

    Returns:
        Sentences that name what is missing and what is not resolved.
    """
    title, measured = (
        score_of(results).title,
        [name for name in methods(results) if scores(results, name)],
    )
    sentences = []
    for of in contributions:
        missing = [name for name in (of.method, of.control) if name not in measured]
        found = (
            f"cannot be told: no test results of {' and '.join(missing)}"
            if missing
            else verdict(of.difference, title)
        )
        sentences.append(f"{_PARTS[of.part]} ({of.method} minus {of.control}): {found}.")
    return sentences
