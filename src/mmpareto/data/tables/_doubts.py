"""Columns that are not what they were guessed to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import compute

from mmpareto.data.tables._columns import ColumnType, is_majority
from mmpareto.data.tables._copies import CopyFinder
from mmpareto.data.tables._numbers import written_numbers
from mmpareto.data.tables._table import Table

_ENOUGH = 10
"""Rows, of which fewer say nothing of names."""

_LOOKED_AT = 200

_INDEX = re.compile(r"unnamed: \d+|index|level_\d+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(?i:(.*[_\W])?(id|uuid|guid))|.*[a-z](ID|Id)")

Doubt = tuple[str, ColumnType, str]
"""A column, the type it gets, and what is to be known of it."""


def doubtful_columns(
    table: Table, types: Mapping[str, ColumnType], stated: Mapping[str, str], label: str, root: Path
) -> Iterator[Doubt]:
    """Columns that look like something else than they were guessed to be.

    Args:
        table: The table.
        types: Types of its columns.
        stated: Those that the user states; nothing is doubted about them.
        label: The label column.
        root: Folder where relative paths begin.

    Yields:
        Columns that are no inputs unless their types are stated, because they number or name the
        rows, or because they determine the label; and those that are nearly numbers.
    """
    copies = CopyFinder(table, label)
    for name, column in types.items():
        if name in stated or column.kind not in ("number", "category", "text"):
            continue
        nearly = "" if column.kind == "number" else _nearly_numbers(table.columns[name])
        if nearly:
            asked = f"state `types: {{{name}: number}}`, or `{{{name}: {column.kind}}}`"
            doubt = f"column `{name}` {nearly}, but is read as {column.kind}; {asked}"
            yield name, column, doubt
            continue
        reason = _naming(table, name, column.kind, root)
        if not reason and column.kind != "text":
            reason = copies.reason(name, column.kind)
        if reason:
            asked = f"state `types: {{{name}: {column.kind}}}` to train on it"
            doubt = f"column `{name}` {reason}, and is left out; {asked}"
            yield name, ColumnType("ignore", reason), doubt


def _naming(table: Table, name: str, kind: str, root: Path) -> str:
    """How a column numbers or names the rows; ``""`` if it does not."""
    column = table.columns[name]
    filled = len(column) - column.null_count
    if kind == "category" or (kind == "number" and not _is_called_identifier(name)):
        return ""
    if compute.count_distinct(column).as_py() < filled:
        return ""
    if kind == "number":
        is_whole = filled > 1 and not (table.numbers(name)[table.filled(name)] % 1).any()
        return "numbers the rows" if is_whole else ""
    is_word = compute.match_substring_regex(column, r"^[!-~]+$")  # other scripts need no spaces
    if filled < _ENOUGH or not compute.all(is_word).as_py():
        return ""
    if compute.all(compute.match_substring(column, "://")).as_py():
        return "holds addresses; files have to be here, and their paths in the cells"
    file = _file_without_end(str(column.drop_null()[0]), root)
    if file:
        return f"names files without their ending, such as {file}, which belongs into the cells"
    return "is a name without spaces, different in every row"


def _is_called_identifier(name: str) -> bool:
    return bool(_INDEX.fullmatch(name) or _IDENTIFIER.fullmatch(name))


def _file_without_end(cell: str, root: Path) -> str:
    """A file whose name is a cell and an ending; ``""`` if there is none."""
    path = root / cell
    with suppress(OSError, ValueError):  # no folder, or no name that one can have
        for entry in sorted(path.parent.iterdir()):
            if entry.name.startswith(f"{path.name}."):
                return entry.name
    return ""


def _nearly_numbers(column: pyarrow.StringArray) -> str:
    """How many cells are numbers as people write them; ``""`` where that are too few."""
    filled = column.drop_null()
    for part in (filled[:_LOOKED_AT], filled):
        numbers = written_numbers(part)
        is_number = ~np.isnan(numbers)
        hits = int(is_number.sum())
        if not is_majority(hits, len(part)):
            return ""
    place = int(is_number.nonzero()[0][0])
    shown = f"'{filled[place]}', which would be {numbers[place]:g}"
    return f"looks like numbers in {hits:,} of {len(filled):,} cells, such as {shown}"
