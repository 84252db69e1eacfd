"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._cells import Unfit
from mmpareto.errors import MMParetoError

Records = tuple[list[str], list[tuple[int, list[Any]]], list[Finding]]
"""Header, rows with their numbers, problems."""


def read_parquet(path: Path) -> Records:
    """Reads a Parquet file, every value as Python has it.

    Raises:
        MMParetoError: If it cannot be read.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MMParetoError(
            f"Reading {path} needs pyarrow: pip install 'mmpareto[data]'."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (ValueError, OSError, pyarrow.ArrowException) as error:
        raise MMParetoError(
            f"{path} should be a Parquet file. Found: {' '.join(str(error).split())}"
        ) from error
    header = [
        "" if name.startswith("__index_level_") else name.strip() for name in table.column_names
    ]  # of pandas
    rows: Iterable[tuple[Any, ...]] = zip(*map(_values, table.columns), strict=True)
    return header, [(number, list(row)) for number, row in enumerate(rows, 1)], []


def _values(column: Any) -> list[Any]:
    """The values of a column of Parquet; as text where Python has no such values, as for nanoseconds."""
    from pyarrow import ArrowException, string

    for read in (column.to_pylist, lambda: column.cast(string()).to_pylist()):
        with suppress(ValueError, OverflowError, ArrowException):
            return list(read())
    return list(map(_value, column))


def _value(scalar: Any) -> Any:
    from pyarrow import ArrowException

    try:
        return scalar.as_py()
    except (ValueError, OverflowError, ArrowException) as error:
        return Unfit(f"a value that cannot be read: {' '.join(str(error).split())}")
