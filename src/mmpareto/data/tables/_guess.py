"""What a column of cells holds: guessed from the cells, or stated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import compute

from mmpareto.data.tables._cells import counted
from mmpareto.data.tables._columns import TYPES, ColumnType, is_majority
from mmpareto.data.tables._file_types import guess_files, without_type
from mmpareto.data.tables._numbers import plain_numbers
from mmpareto.data.tables._table import Table
from mmpareto.errors import MMParetoError

_LONGEST, _CATEGORIES = 40, 100
_LOOKED_AT = 1000
"""Different cells that are looked at one by one; the others are taken to be like them."""


def parse_number(cell: str) -> float | None:
    """The number in a cell; None where there is none that is finite and single precision can hold.

    Example:
        >>> [parse_number(cell) for cell in ("1e3", "-0.5", "inf", "1_000", "five")]
        [1000.0, -0.5, None, None, None]
    """
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < 1e38 and "_" not in cell else None


def is_categorical(values: int, cells: int) -> bool:
    """Whether values repeat: each twice on average, and no more than a hundred."""
    return values <= min(cells / 2, _CATEGORIES)


def guess(
    column: pyarrow.StringArray,
    folder: Path,
    name: str = "",
    numbers: np.ndarray | None = None,
) -> ColumnType:
    """What cells hold.

    Args:
        column: The cells.
        folder: Where relative paths begin.
        name: Name of the column, for messages.
        numbers: The numbers in the cells, if they are known.

    Returns:
        The type that three quarters of the cells that are not empty agree with: numbers, files by
        the ends of their names (a folder is a video's frames), categories (short and repeated),
        else text.

    Raises:
        MMParetoError: If so many look like files, but of no one type, or are lists of numbers.

    Example:
        >>> guess(pyarrow.array(["a.wav", None, "b.WAV"]), Path())
        ColumnType(kind='audio', why='2 of 2 cells end like audio files')
        >>> guess(pyarrow.array(["red", "blue", "red", "blue"]), Path()).kind
        'category'
    """
    filled = len(column) - column.null_count
    if not filled:
        return ColumnType("ignore", "all cells are empty")
    numbers = plain_numbers(column) if numbers is None else numbers
    hits = int((~np.isnan(numbers)).sum())
    if is_majority(hits, filled):
        return ColumnType("number", f"{hits} of {filled} cells are numbers")
    counts = counted(column)
    sample = dict(list(counts.items())[:_LOOKED_AT])
    stored = guess_files(sample, folder, name)
    if stored is not None:
        return stored
    longest = compute.max(compute.utf8_length(column)).as_py()
    if is_categorical(len(counts), filled) and longest <= _LONGEST:
        return ColumnType("category", f"{len(counts)} short values in {filled} cells")
    lists = list(filter(_is_list, sample))
    if is_majority(len(lists), len(sample)):
        shown = f"'{lists[0]:.40}'; keep them as .npy files and their paths in the column"
        raise without_type(name, f"lists of numbers, such as {shown}", "text")
    return ColumnType("text", f"{len(counts)} different values in {filled} cells")


def _is_list(cell: str) -> bool:
    parts = re.split(r"[,;\s]+", cell.strip("[] ")) if cell.startswith("[") else cell.split(";")
    filled = list(filter(None, parts))
    return len(parts) > 1 and bool(filled) and None not in map(parse_number, filled)


def column_types(
    table: Table, used: Collection[str], stated: Mapping[str, str], folder: Path
) -> dict[str, ColumnType]:
    """Types of the columns that are not used otherwise.

    Args:
        table: The table.
        used: Columns of labels, names and parts.
        stated: Types that the user states.
        folder: Where relative paths begin.

    Raises:
        MMParetoError: If a type is stated that does not exist, or for a column that does not; if a
            column that is not to be ignored cannot be read, or has no type.
    """
    _check_stated(table, used, stated)
    for name, found in table.unfit.items():
        if stated.get(name) != "ignore":
            remedy = "" if name in used else f". Or state `types: {{{name}: ignore}}`"
            raise MMParetoError(
                f"{table.path}, column `{name}`, should be of text or numbers. Found "
                f"{found}{remedy}."
            )
    types = {}
    for name, column in table.columns.items():
        if name in used:
            continue
        if name in stated:
            types[name] = ColumnType(stated[name], "stated")
        elif name in table.vectors:
            types[name] = ColumnType("array", "lists of numbers")
        else:
            types[name] = guess(column, folder, name, table.numbers(name))
    return types


def _check_stated(table: Table, used: Collection[str], stated: Mapping[str, str]) -> None:
    for name, kind in stated.items():
        if name not in table.columns or name in used:
            free = ", ".join(name for name in table.columns if name not in used)
            raise MMParetoError(
                f"Parameter `data.types` should be about the columns {free}. Found `{name}`."
            )
        if kind not in TYPES:
            raise MMParetoError(
                f"Parameter `data.types` should be of {', '.join(TYPES)}. Found {name}: '{kind}'."
            )
        if name in table.vectors and kind not in ("array", "ignore"):
            raise MMParetoError(
                f"Parameter `data.types` should say array or ignore of lists of numbers. Found "
                f"{name}: '{kind}'."
            )
