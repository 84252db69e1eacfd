"""A file of rows and named columns, every cell as text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._cells import Unfit, make_cell, use_points, without_points
from mmpareto.data.tables._parquet import Records, read_parquet
from mmpareto.errors import MMParetoError

_LONGEST = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Table:
    """What stands in a file of rows.

    Args:
        path: The file.
        columns: For each column its cells, without spaces around them; ``""`` where there is
            nothing, or NaN.
        rows: For each row its number in the file, as a spreadsheet shows it: below a header it
            begins with 2.
        total: Number of rows in the file.
        problems: What had to be left out.
        unfit: For each column that is neither text nor numbers, or cannot be read, what was found;
            its cells are empty.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]
    total: int
    problems: list[Finding]
    unfit: dict[str, str] = field(default_factory=dict)


def read_table(path: Path) -> Table:
    """Reads a CSV or a Parquet file.

    A CSV file is UTF-8, or UTF-16 with a byte order mark, with any line ends; cells are divided by
    whichever of comma, semicolon and tab is the most frequent in its first line, and may be quoted.
    Rows with another number of cells than the header are left out. The cells of a list in a Parquet
    file are joined by semicolons.

    Where semicolons divide the cells, a column of numbers with decimal commas gets points; in a
    column of whole numbers ``1.0`` is ``1``.

    Raises:
        MMParetoError: If the file cannot be read, is empty, or names a column twice.
    """
    if not path.is_file():
        raise MMParetoError(
            f"Parameter `data.path` should be a CSV or Parquet file. Found no file {path}."
        )
    header, records, problems = (
        read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    )
    if doubled := [name for name, count in Counter(header).items() if name and count > 1]:
        raise MMParetoError(
            f"{path} should name each column once. Found `{doubled[0]}` several times."
        )
    kept = [(number, record) for number, record in records if len(record) == len(header)]
    for number, record in records:
        if len(record) != len(header):
            reason = f"has {len(record)} cells where the header has {len(header)}"
            problems.append(Finding(f"{path.name}, row {number}", reason))
    if not kept:
        raise MMParetoError(
            f"{path} should hold a header and rows below it. Found no complete row."
        )
    columns, unfit = {}, {}
    for place, name in enumerate(header):
        if name:
            cells = [make_cell(record[place]) for _, record in kept]
            if bad := [row for row, cell in enumerate(cells) if isinstance(cell, Unfit)]:
                unfit[name] = f"in row {kept[bad[0]][0]} {cells[bad[0]]}"
            columns[name] = [""] * len(cells) if bad else without_points(cells)
    return Table(path, columns, [number for number, _ in kept], len(records), problems, unfit)


def _csv(path: Path) -> Records:
    text = _decode(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    longest = csv.field_size_limit(_LONGEST)  # of the whole program
    try:
        records = [
            (number, cells) for number, cells in enumerate(reader, 1) if any(map(str.strip, cells))
        ]
    except csv.Error as error:
        raise MMParetoError(
            f"{path} should be a CSV file. Found in line {reader.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(longest)
    if not records:
        raise MMParetoError(f"{path} should hold a header and rows below it. Found an empty file.")
    header = [name.strip() for name in records[0][1]]
    if delimiter == ";":
        use_points([cells for _, cells in records[1:] if len(cells) == len(header)])
    problems = [
        Finding(f"{path.name}, column {place}", "has no name")
        for place, name in enumerate(header, 1)
        if not name
    ]
    return header, records[1:], problems


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be read. Found: {error.strerror}."
        ) from error
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
