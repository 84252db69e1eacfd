"""Flat dataclasses as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from mmpareto._storage._files import read_text, write_atomically
from mmpareto.errors import MMParetoError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)
else:
    Record = TypeVar("Record")


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with; the last four are the full-width forms."""
_QUOTE = "'"
"""Spreadsheets take what follows it for text, whatever it begins with."""


def guarded(text: str) -> str:
    """Text as a cell that no spreadsheet computes.

    Example:
        >>> guarded("=1+1"), guarded("audio")
        ("'=1+1", 'audio')
    """
    return _QUOTE + text if text.startswith((*_FORMULA, _QUOTE)) else text


def _name(cell: str) -> str:
    """The text of which a cell is the `guarded` one."""
    if not cell:
        raise ValueError
    return cell[1:] if cell.startswith(_QUOTE) and guarded(cell[1:]) == cell else cell


_FLAGS = {"0": False, "false": False, "0.0": False, "1": True, "true": True, "1.0": True}
_PARSERS: dict[type, tuple[str, Callable[[str], Any]]] = {
    str: ("a name", _name),
    int: ("a whole number", int),
    float: ("a number", float),
    bool: ("0 or 1", lambda text: _FLAGS[text.lower()]),
}


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Reads a CSV file whose header holds the fields of a dataclass; further columns are ignored.

    Args:
        path: The file.
        kind: Dataclass with fields of type str, int, float and bool.

    Returns:
        One `kind` per row, in the file's order.

    Raises:
        MMParetoError: If the file cannot be read, lacks a column, or has a row that is not a
            `kind`. Rows are counted as an editor counts lines: the header is row 1.
    """
    types = get_type_hints(kind)
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        _check_header(path, reader.fieldnames or (), types)
        return [kind(**_parsed(row, types, f"{path}, row {reader.line_num}")) for row in reader]
    except csv.Error as error:
        raise MMParetoError(
            f"{path}, row {reader.reader.line_num}: expected comma-separated values. Found {error}."
        ) from error


def _check_header(path: Path, columns: Sequence[str], types: Mapping[str, type]) -> None:
    for name in types:
        if name not in columns:
            found = ",".join(columns) or "an empty file"
            raise MMParetoError(
                f"{path}, row 1: expected the columns {','.join(types)}. Found {found}: no {name}."
            )


def _parsed(row: Mapping[str | None, Any], types: Mapping[str, type], where: str) -> dict[str, Any]:
    _check_length(row, where)
    parsed = {}
    for name, annotation in types.items():
        expected, parse = _PARSERS[annotation]
        try:
            parsed[name] = parse(row[name])
        except (ValueError, KeyError):
            raise MMParetoError(
                f"{where}: column `{name}` should be {expected}. Found {row[name]!r}."
            ) from None
    return parsed


def _check_length(row: Mapping[str | None, Any], where: str) -> None:
    """Raises unless there is a cell per column: `DictReader` names others None."""
    surplus = row.get(None, ())
    columns = [name for name in row if name is not None]
    cells = [name for name in columns if row[name] is not None]
    if surplus or len(cells) < len(columns):
        raise MMParetoError(
            f"{where}: expected {len(columns)} cells. Found {len(cells) + len(surplus)}."
        )


def write_records(path: Path, kind: type[Record], records: Iterable[Record]) -> None:
    """Writes records as CSV, the fields of `kind` as header, replacing the file in one step.

    Numbers are written so that reading them gives the same bits; flags as 0 and 1;
    text so that no spreadsheet computes it.

    Args:
        path: The file, in a folder that exists.
        kind: The records' dataclass.
        records: What to write, in this order.

    Raises:
        MMParetoError: If the file cannot be written.
    """
    write_rows(path, [field.name for field in fields(kind)], map(astuple, records))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a header and rows as CSV, replacing the file in one step; cells as `write_records`.

    Args:
        path: The file, in a folder that exists.
        header: Names of the columns.
        rows: The cells of each row.

    Raises:
        MMParetoError: If the file cannot be written.
    """
    lines = [_line(map(_cell, header))]
    lines += [_line(map(_cell, row)) for row in rows]
    write_atomically(path, "".join(lines))


def _line(cells: Iterable[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)  # its own line ending has a carriage return quoted in a cell
    return text.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return guarded(value) if isinstance(value, str) else value
