"""Cells of a table as text."""

from __future__ import annotations

import math
import re
from typing import Any

_COMMA = re.compile(r"\s*[+-]?(\d+|\d*,\d+)([eE][+-]?\d+)?\s*")
_WHOLE = re.compile(r"-?\d+(\.0*)?")


class Unfit(str):
    """What was found in place of a cell."""

    __slots__ = ()


def make_cell(value: Any) -> str:
    """A value as text; `Unfit` where it cannot be.

    Example:
        >>> [make_cell(value) for value in (None, float("nan"), "NaN", 3.0, 0.5, ["a", "b"], " text ")]
        ['', '', '', '3', '0.5', 'a;b', 'text']
    """
    if value is None:
        return ""
    if isinstance(value, bytes | dict | tuple):
        return Unfit(f"{type(value).__name__}; keep files beside the table and their paths in it")
    if isinstance(value, Unfit):
        return value
    if isinstance(value, list):
        cells = list(map(make_cell, value))
        return next((cell for cell in cells if isinstance(cell, Unfit)), ";".join(cells))
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return _text(str(value))


def _text(cell: str) -> str:
    text = cell.strip()
    return "" if text.lower() == "nan" else text


def use_points(rows: list[list[str]]) -> None:
    """Replaces the commas in columns where all cells are numbers and some have a decimal comma."""
    for place in range(len(rows[0]) if rows else 0):
        cells = [cell for row in rows if (cell := _text(row[place]))]
        if any("," in cell for cell in cells) and all(map(_COMMA.fullmatch, cells)):
            for row in rows:
                row[place] = row[place].replace(",", ".")


def without_points(cells: list[str]) -> list[str]:
    """Cells without ``.0`` where all of them are whole numbers."""
    return (
        [cell.partition(".")[0] for cell in cells]
        if all(map(_WHOLE.fullmatch, filter(None, cells)))
        else cells
    )
