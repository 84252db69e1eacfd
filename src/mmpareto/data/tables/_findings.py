"""Rows that have a fault: a line each, or one line for many that have the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
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
    named = ", ".join(map(str, rows[:_NAMED]))
    more = len(rows) - _NAMED
    return f"{path.name}, rows {named}" + (f" and {more:,} more" if more > 0 else "")


def condensed(path: Path, causes: Iterable[Mapping[int, str]]) -> list[Finding]:
    """What is wrong with rows.

    Args:
        path: The table.
        causes: For each cause the numbers of its rows, in order, and what is wrong with each.

    Returns:
        A finding for each row, or one for many rows with the first one's reason; in the order of
        the rows.

    Example:
        >>> condensed(Path("my.csv"), [{5: "is empty"}, dict.fromkeys(range(2, 9), "is late")])[0]
        Finding(where='my.csv, rows 2, 3, 4 and 4 more', reason='is late', fatal=False)
    """
    findings: list[tuple[int, Finding]] = []
    for reasons in causes:
        rows = list(reasons)
        if len(rows) > MANY:
            findings.append((rows[0], Finding(where(path, rows), reasons[rows[0]])))
            continue
        singly = (Finding(where(path, [row]), reasons[row]) for row in rows)
        findings += zip(rows, singly, strict=True)
    findings.sort(key=itemgetter(0))
    return list(map(itemgetter(1), findings))
