"""Parquet files as columns of text, and of lists of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute, parquet, types

from mmpareto.data.tables._cells import Unfit, make_cell
from mmpareto.data.tables._csv import RawTable
from mmpareto.errors import MMParetoError

_FAILURES = (ValueError, OverflowError, pyarrow.ArrowException)


def read_parquet(path: Path) -> RawTable:
    """Reads a Parquet file; the cells of a list of text are joined by semicolons.

    Raises:
        MMParetoError: If it cannot be read.
    """
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (OSError, *_FAILURES) as error:
        raise MMParetoError(
            f"{path} should be a Parquet file. Found: {' '.join(str(error).split())}"
        ) from error
    raw = RawTable(list(map(_name, table.column_names)), [], np.arange(len(table)) + 1, len(table))
    for place, column in enumerate(table.itercolumns()):
        if is_list(column.type):
            raw.lists.add(place)
        try:
            raw.columns.append(_column(column.combine_chunks()))
        except Unfit as error:
            raw.columns.append(None)
            raw.unfit[place] = str(error)
    return raw


def _name(name: str) -> str:
    return "" if name.startswith("__index_level_") else name.strip()  # pandas keeps its index so


def is_list(kind: pyarrow.DataType) -> bool:
    """Whether a type is that of lists."""
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_vector(kind: pyarrow.DataType) -> bool:
    """Whether a type is that of lists of numbers."""
    if not is_list(kind):
        return False
    return bool(types.is_floating(kind.value_type) or types.is_integer(kind.value_type))


def _column(column: pyarrow.Array) -> pyarrow.Array:
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if is_vector(kind):
        return column.cast(pyarrow.list_(pyarrow.float64()))
    if types.is_boolean(kind):
        return compute.if_else(column, "True", "False")
    if types.is_floating(kind) or types.is_integer(kind):
        number = compute.if_else(compute.is_nan(column), None, column)
        return number.cast(pyarrow.string())
    if types.is_string(kind) or types.is_large_string(kind):
        with suppress(*_FAILURES):
            column.validate(full=True)  # text that is no UTF-8
            return compute.utf8_trim_whitespace(column.cast(pyarrow.string()))
    return pyarrow.array(list(_cells(column)), pyarrow.string())


def _cells(column: pyarrow.Array) -> Iterator[str | None]:
    """Text of values of any type.

    Raises:
        Unfit: If a value is neither text nor number; the message names its row.
    """
    for number, value in enumerate(_values(column), 1):
        try:
            yield make_cell(value)
        except Unfit as error:
            raise Unfit(f"in row {number} {error}") from error


def _values(column: pyarrow.Array) -> list[Any]:
    """Values as Python has them, or as text where it has no such values, as for nanoseconds."""
    for read in (column.to_pylist, lambda: column.cast(pyarrow.string()).to_pylist()):
        with suppress(*_FAILURES):
            return list(read())
    values = []
    for number, scalar in enumerate(column, 1):
        try:
            values.append(scalar.as_py())
        except _FAILURES as error:
            found = f"a value that cannot be read: {' '.join(str(error).split())}"
            raise Unfit(f"in row {number} {found}") from error
    return values
