"""The table of a comparison as text, from which both the report and the terminal are filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmpareto.compare._results import Result, modalities, score_of
from mmpareto.compare._statistics import Difference, Spread
from mmpareto.compare._summary import REFERENCE, Row, attribution, comparisons, table_rows
from mmpareto.compare._wording import (
    NONE,
    attribution_sentences,
    datasets,
    headline,
    interval,
    mean_sd,
    p_value,
    percent,
    points,
    seeds,
)

_NOTES = {
    "joint": "In joint, encoders learn from the joint loss alone and each modality's head reads them off.",
    "ensemble": "In ensemble, one network per modality is trained alone; joint is the average of their predictions.",
}


@dataclass(frozen=True)
class Table:
    """A comparison in words.

    Args:
        headline: The result in a sentence or two.
        caption: What the table holds.
        notes: How to read it.
        header: Names of the columns; a newline parts a name from what qualifies it.
        rows: Cells, the first of each row being its name; a newline parts a number from its
            verdict.
        attribution: Sentences on what the gain comes from.
    """

    headline: str
    caption: str
    notes: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    attribution: tuple[str, ...]


def build_table(results: Sequence[Result]) -> Table:
    r"""The table of a comparison.

    Args:
        results: Results on one data set; may be empty.

    Returns:
        The table, with columns only for what was measured.

    Raises:
        MMParetoError: If the results are on several data sets.

    Example:
        >>> table = build_table([Result("cg-digits", "uniform", 0, "test", "joint_accuracy", 0.7349)])
        >>> dict(zip(table.header, table.rows[0], strict=True))
        {'method': 'uniform', 'joint': '73.5', 'joint minus\nuniform (points)': 'reference'}
    """
    rows = table_rows(results)
    columns = [
        column for column in _columns(results, rows) if any(cell != NONE for cell in column[1])
    ]
    return Table(
        headline=headline(results, rows),
        caption=_caption(results, rows),
        notes=_notes(rows, comparisons(results)),
        header=tuple(name for name, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
        attribution=tuple(attribution_sentences(results, attribution(results))),
    )


def _columns(results: Sequence[Result], rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    parts = modalities(results)
    counts = [row.joint.count for row in rows]
    return [
        ("method", [row.method for row in rows]),
        ("seeds", [str(n) if len(set(counts)) > 1 else NONE for n in counts]),
        ("joint", [mean_sd(row.joint) for row in rows]),
        (
            f"joint minus\n{REFERENCE} (points)",
            [_difference(row.difference, row.joint.count) for row in rows],
        ),
        *((part, [mean_sd(row.unimodal[part]) for row in rows]) for part in parts),
        *(
            (f"conflict\n{part}", [percent(row.conflicts[part].mean) for row in rows])
            for part in parts
        ),
        ("seconds", [_seconds(row.seconds) for row in rows]),
    ]


def _difference(of: Difference | None, count: int) -> str:
    if of is None:
        return "reference"
    if not of.seeds:
        return NONE
    lines = [f"{points(of.mean)} {interval(of)}".strip()]
    lines += [", ".join(filter(None, ["" if of.resolved else "not resolved", p_value(of)]))]
    lines += [f"{len(of.seeds)} of {seeds(count)} paired"] if len(of.seeds) < count else []
    return "\n".join(lines)


def _seconds(of: Spread) -> str:
    return f"{of.mean:.1f}" if math.isfinite(of.mean) else NONE


def _caption(results: Sequence[Result], rows: Sequence[Row]) -> str:
    counts = sorted({row.joint.count for row in rows} or {0})
    over = seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {seeds(counts[-1])}"
    what = f"Test {score_of(results).title} on {datasets(results)} in percent"
    return f"{what}: mean and ± sample standard deviation over {over}."


def _notes(rows: Sequence[Row], together: int) -> str:
    return (
        f"Differences from {REFERENCE} are paired by seed; their 95% intervals and p-values "
        f"(paired t test) hold for all differences of this report together, {together} here "
        "(Bonferroni). Not resolved: the interval contains zero, or there is none. Conflict: "
        "percent of the measured steps. Seconds: mean wall-clock of one training."
    ) + "".join(f" {note}" for name, note in _NOTES.items() if name in {row.method for row in rows})
