"""Rows that have a fault: a line each, or one line for many that have the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmpareto.data._recipe import Finding

MANY = 5
"""Rows with one fault that are listed one by one; of more, the first are named in one line."""

_NAMED = 3


def where(path: Path, rows: Sequence[int]) -> str:
    """How users find rows.

    Example:
        >>> where(Path("my.csv"), [2]), where(Path("my.csv"), range(2, 50))
        ('my.csv, row 2', 'my.csv, rows 2, 3, 4 and 45 more')
    """
    if len(rows) == 1:
        return f"{path.name}, row {rows[0]}"
    named = ", ".join(str(row) for row in rows[:_NAMED])
    more = len(rows) - _NAMED
    return f"{path.name}, rows {named}" + (f" and {more:,} more" if more > 0 else "")


def condensed(path: Path, rows: Sequence[int], reasons: Sequence[str]) -> list[tuple[int, Finding]]:
    """What is wrong with rows for one cause.

    Args:
        path: The table.
        rows: Numbers of the rows.
        reasons: What is wrong with each of them.

    Returns:
        A finding for each row, or one for many rows with the first one's reason; each with the
        number of its first row.
    """
    if len(rows) > MANY:
        return [(rows[0], Finding(where(path, rows), reasons[0]))]
    pairs = zip(rows, reasons, strict=True)
    return [(row, Finding(where(path, [row]), reason)) for row, reason in pairs]
