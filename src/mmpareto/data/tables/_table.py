"""A file of rows and named columns, every cell as text."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpareto.data._recipe import Finding
from mmpareto.errors import MMParetoError


@dataclass(frozen=True, eq=False)
class Table:
    """What stands in a file of rows.

    Args:
        path: The file.
        columns: For each column its cells, without spaces around them; ``""`` where there is nothing, or NaN.
        rows: For each row its number in the file, as a spreadsheet shows it: below a header it begins with 2.
        total: Number of rows in the file.
        problems: What had to be left out.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]
    total: int
    problems: list[Finding]


def read_table(path: Path) -> Table:
    """Reads a CSV or a Parquet file.

    A CSV file is UTF-8, or UTF-16 with a byte order mark, with any line ends; cells are divided by whichever of comma,
    semicolon and tab is the most frequent in its first line, and may be quoted. Rows with another number of cells than
    the header are left out. The cells of a list in a Parquet file are joined by semicolons.

    Raises:
        MMParetoError: If the file cannot be read, is empty, or names a column twice.
    """
    if not path.is_file():
        raise MMParetoError(f"Parameter `data.path` should be a CSV or Parquet file. Found no file {path}.")
    header, records, problems = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    if doubled := [name for name, count in Counter(header).items() if name and count > 1]:
        raise MMParetoError(f"{path} should name each column once. Found `{doubled[0]}` several times.")
    kept = [(number, record) for number, record in records if len(record) == len(header)]
    for number, record in records:
        if len(record) != len(header):
            reason = f"has {len(record)} cells where the header has {len(header)}"
            problems.append(Finding(f"{path.name}, row {number}", reason))
    if not kept:
        raise MMParetoError(f"{path} should hold a header and rows below it. Found no complete row.")
    columns = {name: [_cell(record[place]) for _, record in kept] for place, name in enumerate(header) if name}
    return Table(path, columns, [number for number, _ in kept], len(records), problems)


Contents = tuple[list[str], list[tuple[int, list[Any]]], list[Finding]]
"""Header, rows with their numbers, problems."""


def _csv(path: Path) -> Contents:
    text = _decode(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = [(number, cells) for number, cells in enumerate(reader, 1) if any(map(str.strip, cells))]
    except csv.Error as error:
        raise MMParetoError(f"{path} should be a CSV file. Found in line {reader.line_num}: {error}.") from error
    if not records:
        raise MMParetoError(f"{path} should hold a header and rows below it. Found an empty file.")
    header = [name.strip() for name in records[0][1]]
    problems = [
        Finding(f"{path.name}, column {place}", "has no name") for place, name in enumerate(header, 1) if not name
    ]
    return header, records[1:], problems


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MMParetoError(f"{path} should be a file that can be read. Found: {error.strerror}.") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
        position = text.find("\0")  # as in UTF-16 without a mark
    except UnicodeDecodeError as error:
        text, position = "", error.start
    if position >= 0:
        found = f"other bytes at position {position}; save it as CSV UTF-8"
        raise MMParetoError(f"{path} should be UTF-8 text. Found {found}.")
    return text


def _parquet(path: Path) -> Contents:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MMParetoError(f"Reading {path} needs pyarrow: pip install 'mmpareto[data]'.") from error
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except (ValueError, OSError) as error:
        raise MMParetoError(f"{path} should be a Parquet file. Found: {error}") from error
    header = ["" if name.startswith("__index_level_") else name.strip() for name in table.column_names]  # of pandas
    rows: Iterable[tuple[Any, ...]] = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return header, [(number, list(row)) for number, row in enumerate(rows, 1)], []


def _cell(value: Any) -> str:
    """A value as text.

    Example:
        >>> [_cell(value) for value in (None, float("nan"), "NaN", 3.0, 0.5, ["a", "b"], " text ")]
        ['', '', '', '3', '0.5', 'a;b', 'text']
    """
    if value is None:
        return ""
    if isinstance(value, bytes | dict):
        found = f"{type(value).__name__}; keep files beside the table and their paths in it"
        raise MMParetoError(f"Cells of a table should be text or numbers. Found {found}.")
    if isinstance(value, list):
        return ";".join(map(_cell, value))
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    text = str(value).strip()
    return "" if text.lower() == "nan" else text
