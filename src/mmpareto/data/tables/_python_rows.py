"""Rows given in Python as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute

from mmpareto.data.tables._cells import Unfit, make_cell, make_column
from mmpareto.data.tables._settings import MISSING
from mmpareto.data.tables._table import Table
from mmpareto.errors import MMParetoError


def table_of(rows: Sequence[Mapping[str, Any]], missing: Sequence[str] = MISSING) -> Table:
    """A table of rows, in which each names the columns that it has.

    Args:
        rows: The rows. Cells are texts, numbers, None, or lists of numbers.
        missing: Words that stand for an empty cell.

    Raises:
        MMParetoError: If there are none, or a cell is neither.

    Example:
        >>> table = table_of([{"age": 3}, {"age": 2.5, "note": "barks"}])
        >>> table.cells("age"), table.cells("note")
        (['3', '2.5'], ['', 'barks'])
    """
    names: dict[str, None] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise MMParetoError(
                "Rows should be mappings from columns to cells. Found "
                f"{type(row).__name__} as row {number}."
            )
        names |= dict.fromkeys(map(str, row))
    if not names:
        raise MMParetoError("Rows should have a cell at least. Found none.")
    table = Table(Path("rows"), {}, np.arange(len(rows)) + 1, len(rows), [])
    for name in names:
        cells = [row.get(name) for row in rows]
        if any(map(_is_vector, cells)):
            _add_vectors(table, name, cells)
        else:
            table.columns[name] = make_column(_texts(name, cells), missing)
    return table


def _is_vector(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return cell.dtype.kind in "biuf"
    is_list = isinstance(cell, list | tuple) and len(cell) > 0
    return is_list and all(isinstance(item, int | float) for item in cell)


def _add_vectors(table: Table, name: str, cells: Sequence[Any]) -> None:
    lists: list[list[float] | None] = []
    for number, cell in enumerate(cells, 1):
        if cell is not None and not _is_vector(cell):
            raise MMParetoError(
                f"Column `{name}` should be lists of numbers in all rows, or None. Found "
                f"{type(cell).__name__} in row {number}."
            )
        lists.append(None if cell is None else np.asarray(cell, np.float64).reshape(-1).tolist())
    vectors = pyarrow.array(lists, pyarrow.list_(pyarrow.float64()))
    table.vectors[name] = vectors
    table.columns[name] = compute.list_value_length(vectors).cast(pyarrow.string())


def _texts(name: str, cells: Sequence[Any]) -> list[str | None]:
    texts: list[str | None] = []
    for number, cell in enumerate(cells, 1):
        try:
            texts.append(make_cell(cell))
        except Unfit as error:
            raise MMParetoError(
                f"Column `{name}` should be of text or numbers. Found in row {number} {error}."
            ) from error
    return texts
