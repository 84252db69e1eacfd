"""Types of columns."""

from __future__ import annotations

from typing import NamedTuple

from mmpareto.data.media._types import FILES

CELLS = ("number", "category")
"""Types of which any number of columns make one modality."""

TYPES = (*FILES, "text", *CELLS, "ignore")

MOST = 0.75
"""Share of a column's cells that says what the column is."""


class ColumnType(NamedTuple):
    """A type, and how it came about."""

    kind: str
    why: str


def is_majority(hits: float, total: float) -> bool:
    """Whether so many cells of a total say what a column is."""
    return total > 0 and hits >= MOST * total
