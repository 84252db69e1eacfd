"""The table of a comparison as text, from which both the report and the terminal are filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmpareto.compare._comparison import Failure
from mmpareto.compare._results import Result, methods, modalities, score_of
from mmpareto.compare._roles import REFERENCE, ROLES, held_out
from mmpareto.compare._statistics import Difference
from mmpareto.compare._summary import MethodSummary, attribution, comparisons, table_rows
from mmpareto.compare._wording import (
    NONE,
    attribution_sentences,
    datasets,
    failed_sentence,
    headline,
    interval,
    mean_sd,
    p_value,
    percent,
    points,
    seeds,
)


@dataclass(frozen=True)
class ComparisonTable:
    """A comparison in words.

    Args:
        headline: The result in a sentence or two.
        caption: What the table holds.
        notes: How to read it.
        header: Names of the columns; a newline parts a name from what qualifies it.
        rows: Cells, the first of each row being its name; a newline parts a number from its
            verdict.
        attribution: Sentences on what the gain comes from.
        failed: Which trainings failed and are in no row; empty if none did.
    """

    headline: str
    caption: str
    notes: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    attribution: tuple[str, ...]
    failed: str


def build_table(results: Sequence[Result], failures: Sequence[Failure] = ()) -> ComparisonTable:
    r"""The table of a comparison.

    Args:
        results: Results on one data set; may be empty.
        failures: The trainings that failed.

    Returns:
        The table, with columns only for what was measured.

    Raises:
        MMParetoError: If the results are on several data sets.

    Example:
        >>> result = Result("cg-digits", "uniform", 0, "test", "joint_accuracy", 0.7349)
        >>> table = build_table([result])
        >>> dict(zip(table.header, table.rows[0], strict=True))
        {'method': 'uniform', 'joint': '73.5', 'joint minus\nuniform (points)': 'reference'}
    """
    summaries = table_rows(results)
    header, *rows = list(zip(*_columns(results, summaries), strict=True)) or [()]
    return ComparisonTable(
        headline=headline(results, summaries),
        caption=_caption(results, summaries),
        notes=_notes(methods(results), comparisons(results)),
        header=header,
        rows=tuple(rows),
        attribution=tuple(attribution_sentences(results, attribution(results))),
        failed=failed_sentence(failures),
    )


def _columns(
    results: Sequence[Result], summaries: Sequence[MethodSummary]
) -> list[tuple[str, ...]]:
    """The columns, each a heading and its cells; one without any number is left out."""
    parts = modalities(results)
    headings = ["method", "seeds", "joint", f"joint minus\n{REFERENCE} (points)", *parts]
    headings += [f"conflict\n{part}" for part in parts]
    headings.append("seconds")
    same_seeds = len(_counts(summaries)) == 1
    rows = [_cells(row, parts, same_seeds) for row in summaries]
    columns = zip(headings, *rows, strict=True)
    return [column for column in columns if set(column[1:]) - {NONE}]


def _cells(row: MethodSummary, parts: Sequence[str], same_seeds: bool) -> list[str]:
    cells = [
        row.method,
        NONE if same_seeds else str(row.joint.count),
        mean_sd(row.joint),
        _difference(row.difference, row.joint.count),
    ]
    cells += [mean_sd(row.unimodal[part]) for part in parts]
    cells += [percent(row.conflicts[part].mean) for part in parts]
    cells.append(f"{row.seconds.mean:.1f}" if math.isfinite(row.seconds.mean) else NONE)
    return cells


def _difference(difference: Difference | None, count: int) -> str:
    if difference is None:
        return "reference"
    if not difference.seeds:
        return NONE
    remarks = [] if difference.resolved else ["not resolved"]
    if not difference.reason:
        remarks.append(p_value(difference))
    lines = [f"{points(difference.mean)} {interval(difference)}".strip(), ", ".join(remarks)]
    if len(difference.seeds) < count:
        lines.append(f"{len(difference.seeds)} of {seeds(count)} paired")
    return "\n".join(lines)


def _counts(summaries: Sequence[MethodSummary]) -> list[int]:
    """The numbers of seeds that methods have, ascending."""
    return sorted({row.joint.count for row in summaries} or {0})


def _caption(results: Sequence[Result], summaries: Sequence[MethodSummary]) -> str:
    counts = _counts(summaries)
    number = seeds(counts[-1])
    if len(counts) > 1:
        number = f"{counts[0]} to {number}"
    content = f"Test {score_of(results).title} on {datasets(results)} in percent"
    return f"{content}: mean and ± sample standard deviation over {number}."


def _notes(shown: Sequence[str], count: int) -> str:
    sentences = [
        f"Differences from {REFERENCE} are paired by seed; their 95% intervals and p-values "
        f"(paired t test) hold for all differences of this report together, {count} here "
        "(Bonferroni). Not resolved: the interval contains zero, or there is none. Conflict: "
        "percent of the measured steps. Seconds: mean wall-clock of one training."
    ]
    for name, role in ROLES.items():
        if role.note and name in shown:
            sentences.append(role.note)
    learning = held_out(shown)
    if learning:
        sentences.append(
            f"A tenth of the training part is held out for {', '.join(learning)}, which learn from "
            "it what to do; the others train on all of it."
        )
    return " ".join(sentences)
