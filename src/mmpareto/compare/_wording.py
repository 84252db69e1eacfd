"""Numbers and differences in words, none claiming more than its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmpareto.compare._comparison import Failure
from mmpareto.compare._results import Result, measured, score_of
from mmpareto.compare._roles import REFERENCE, in_order
from mmpareto.compare._statistics import MOST_SEEDS, Difference, Spread, seeds_to_resolve
from mmpareto.compare._summary import Contribution, MethodSummary
from mmpareto.compare._tuned import Tuned, describe_settings

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"


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


def mean_sd(sample: Spread) -> str:
    """A spread of fractions in percent: mean, and standard deviation where there is one."""
    deviation = f" ±{percent(sample.sd)}" if math.isfinite(sample.sd) else ""
    return percent(sample.mean) + deviation


def interval(difference: Difference) -> str:
    """The interval of a difference in points; empty where there is none."""
    if difference.reason:
        return ""
    return f"[{points(difference.low)}, {points(difference.high)}]"


def p_value(difference: Difference) -> str:
    """The p-value of a difference; empty where there is none."""
    if difference.reason:
        return ""
    return f"p {difference.p_value:.2f}" if difference.p_value >= 0.01 else "p < 0.01"


def seeds(count: int) -> str:
    """Number of seeds, with its noun."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def verdict(difference: Difference, title: str) -> str:
    """What a difference in the score of this title shows, as the end of a sentence."""
    if not difference.seeds:
        return f"cannot be told: {difference.reason}"
    if difference.reason:
        return f"{points(difference.mean)} points; not resolved: {difference.reason}"
    numbers = (
        f"{points(difference.mean)} points, 95% interval {points(difference.low)} to "
        f"{points(difference.high)}, {seeds(len(difference.seeds))}"
    )
    if not difference.resolved:
        return (
            f"{numbers}; not resolved: a gain and a loss are both compatible with it; "
            f"{needed(difference)}"
        )
    return f"{numbers}; resolved: {'higher' if difference.mean > 0 else 'lower'} joint {title}"


def needed(difference: Difference) -> str:
    """How many seeds would resolve a difference that is not resolved, as part of a sentence."""
    parts = []
    for size, name in ((difference.mean, "as large as seen"), (0.01, "of 1 point")):
        count = seeds_to_resolve(size, difference) if size else None
        number = f"more than {MOST_SEEDS:,}" if count is None else f"about {count}"
        parts.append(f"one {name} would take {number} seeds")
    return f"{' and '.join(parts)} to be resolved with 80% power"


def headline(results: Sequence[Result], rows: Sequence[MethodSummary]) -> str:
    """The comparison in one sentence or two.

    Args:
        results: The results.
        rows: Their rows.

    Returns:
        Which method has the highest mean, and whether it differs from ``uniform``.
    """
    title = score_of(results).title
    scored = [row for row in rows if math.isfinite(row.joint.mean)]
    if not scored:
        return f"No training has a test {title} yet: there is nothing to compare."
    best = max(scored, key=lambda row: row.joint.mean)
    sentence = (
        f"{best.method} has the highest mean joint {title} on the test split of "
        f"{datasets(results)}: {percent(best.joint.mean)}% over {seeds(best.joint.count)}."
    )
    if best.difference is not None:
        return f"{sentence} Difference from {REFERENCE}: {verdict(best.difference, title)}."
    lower = [row.method for row in rows if row.difference is not None and row.difference.resolved]
    return f"{sentence} Resolved as lower: {', '.join(lower) or 'none'}."


def datasets(results: Sequence[Result]) -> str:
    """The name of the data set."""
    names = dict.fromkeys(result.dataset for result in results)
    return ", ".join(names) or "no data set"


def failed_sentence(failures: Sequence[Failure]) -> str:
    """Which trainings failed, so that none of them is taken for measured.

    Example:
        >>> failed_sentence([Failure("mgda", 3, "the loss is not finite")])
        'Failed and in no number here: mgda (seed 3).'
    """
    if not failures:
        return ""
    by_method: dict[str, list[str]] = {}
    for failure in failures:
        by_method.setdefault(failure.method, []).append(str(failure.seed))
    parts = []
    for name in in_order(set(by_method)):
        noun = "seed" if len(by_method[name]) == 1 else "seeds"
        parts.append(f"{name} ({noun} {', '.join(by_method[name])})")
    return f"Failed and in no number here: {', '.join(parts)}."


def settings_sentences(tuned: Tuned | None) -> list[str]:
    """How the methods' settings were chosen, and which they are; empty where nothing was tuned."""
    if tuned is None:
        return []
    sentences = [tuned.sentence]
    for name in in_order(set(tuned.choices)):
        choice = tuned.choices[name]
        sentences.append(f"{name}: {describe_settings(choice.settings)} (point {choice.point}).")
    return sentences


def attribution_sentences(
    results: Sequence[Result], contributions: Sequence[Contribution]
) -> list[str]:
    """One sentence per contribution.

    Args:
        results: The results.
        contributions: What `attribution` gives for them.

    Returns:
        Sentences that name what is missing and what is not resolved.
    """
    title = score_of(results).title
    names = measured(results)
    sentences = []
    for part in contributions:
        missing = [name for name in (part.method, part.control) if name not in names]
        finding = verdict(part.difference, title)
        if missing:
            finding = f"cannot be told: no test results of {' and '.join(missing)}"
        sentences.append(f"{part.title} ({part.method} minus {part.control}): {finding}.")
    return sentences
