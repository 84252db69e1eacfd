"""CSV files as columns of text."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import compute
from pyarrow import csv as arrow_csv

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._findings import condensed
from mmpareto.errors import MMParetoError

_DELIMITERS = ",;\t"
_LONGEST = 2**31 - 1
_BLANK_LINES = re.compile(rb"(?:[ \t\r]*\n)*")
_EXCEL = re.compile(rb"sep=(.)\r?\n", re.IGNORECASE)


@dataclass(eq=False)
class RawTable:
    """A file of rows, before its cells are looked at.

    Args:
        header: Names of the columns.
        columns: The columns: text, or lists of numbers; None for what is in `unfit`.
        rows: For each row its number in the file, int64 [N].
        total: Number of rows in the file.
        problems: What had to be left out.
        lists: Places of the columns of lists of text.
        may_have_commas: Whether numbers may have decimal commas.
        unfit: For each column that cannot be read, by its place, what was found.
    """

    header: list[str]
    columns: list[pyarrow.Array | None]
    rows: np.ndarray
    total: int
    problems: list[Finding] = field(default_factory=list)
    lists: set[int] = field(default_factory=set)
    may_have_commas: bool = False
    unfit: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Opened:
    """The bytes of a CSV file from its header on, and how they are divided."""

    path: Path
    data: bytes
    delimiter: str
    header: list[str]
    line: int


def read_csv(path: Path) -> RawTable:
    """Reads a CSV file.

    Raises:
        MMParetoError: If it cannot be read, or holds no complete row.
    """
    opened = _open(path)
    faults: list[tuple[int, int]] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        if row.text.strip(f' \r\n"{opened.delimiter}'):
            faults.append((row.number + opened.line - 1, row.actual_columns))
        else:
            blanks.append(row.number + opened.line - 1)
        return "skip"

    blanks: list[int] = []
    columns = _columns(opened, skip)
    count = len(columns[0]) + len(faults) + len(blanks)
    skipped = [number for number, _ in faults] + blanks
    numbers = np.setdiff1d(np.arange(count) + opened.line + 1, skipped)
    is_blank = _is_blank(columns)
    total = int((~is_blank).sum()) + len(faults)
    if total == len(faults):
        raise MMParetoError(_no_row(opened, faults))
    if is_blank.any():
        kept = pyarrow.array(~is_blank)
        columns = [column.filter(kept) for column in columns]
    problems = [*_without_name(path, opened.header), *_wrong_width(opened, faults)]
    raw = RawTable(opened.header, list(columns), numbers[~is_blank], total, problems)
    raw.may_have_commas = opened.delimiter == ";"
    return raw


def _open(path: Path) -> _Opened:
    data, line = _utf8(path), 1
    start = _BLANK_LINES.match(data)
    if start is not None:
        line += start[0].count(b"\n")
        data = data[start.end() :]
    if not data.strip():
        raise MMParetoError(f"{path} should hold a header and rows below it. Found an empty file.")
    excel = _EXCEL.match(data)
    if excel is not None:
        line, data = line + 1, data[excel.end() :]
    first = re.split(r"[\r\n]", data[:65_536].decode(errors="ignore"), maxsplit=1)[0]
    delimiter = excel[1].decode() if excel is not None else max(_DELIMITERS, key=first.count)
    if not data.endswith((b"\n", b"\r")):  # Arrow fails at a header without an end
        data += b"\n"
    if data.count(b'"') % 2:
        _check_quotes(path, data.decode(), delimiter)
    lines = io.StringIO(data[: 2**24].decode(errors="ignore"), newline="")
    header = next(csv.reader(lines, delimiter=delimiter))
    return _Opened(path, data, delimiter, [name.strip() for name in header], line)


def _utf8(path: Path) -> bytes:
    """The text of a file in UTF-8.

    Raises:
        MMParetoError: If it is no text, or in another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be read. Found: {error.strerror}."
        ) from error
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = data.decode("utf-16").encode()
        data = data.removeprefix(b"\xef\xbb\xbf")
        data.decode()
        position = data.find(b"\0")  # as in UTF-16 without a mark
    except UnicodeDecodeError as error:
        position = error.start
    if position >= 0:
        found = f"other bytes at position {position}; save it as CSV UTF-8"
        raise MMParetoError(f"{path} should be UTF-8 text. Found {found}.")
    return data


def _check_quotes(path: Path, text: str, delimiter: str) -> None:
    """Raises if a quoted cell is never closed; Arrow takes the rest of the file for its text."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    longest = csv.field_size_limit(_LONGEST)  # of the whole program
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        raise MMParetoError(
            f"{path} should be a CSV file. Found in line {reader.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(longest)


def _columns(opened: _Opened, skip: object) -> list[pyarrow.Array]:
    places = list(map(str, range(len(opened.header))))
    try:
        table = _table(opened, places, skip)
    except pyarrow.ArrowException as error:
        found = " ".join(str(error).split())
        raise MMParetoError(f"{opened.path} should be a CSV file. Found: {found}") from error
    return [compute.utf8_trim_whitespace(column.combine_chunks()) for column in table.itercolumns()]


def _table(opened: _Opened, places: list[str], skip: object) -> pyarrow.Table:
    return arrow_csv.read_csv(
        pyarrow.BufferReader(opened.data),
        read_options=arrow_csv.ReadOptions(
            use_threads=False,  # rows have no numbers else
            block_size=min(len(opened.data) + 1, _LONGEST),
            column_names=places,
            skip_rows_after_names=1,
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=opened.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,  # they have numbers too
            invalid_row_handler=skip,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pyarrow.string()), strings_can_be_null=False
        ),
    )


def _is_blank(columns: Sequence[pyarrow.Array]) -> np.ndarray:
    """Which rows have empty cells alone; bool [N]."""
    blank = np.ones(len(columns[0]), bool)
    for column in columns:
        if not blank.any():
            break
        blank &= compute.equal(column, "").to_numpy(zero_copy_only=False)
    return blank


def _no_row(opened: _Opened, faults: Sequence[tuple[int, int]]) -> str:
    found = "no complete row"
    if faults:
        (width, _), *_ = Counter(width for _, width in faults).most_common(1)
        header = opened.delimiter.join(opened.header)
        found += (
            f": the rows have {width} cells, but the header in line {opened.line} ('{header:.60}') "
            f"has {len(opened.header)}. A line above the header, or a sign too many at the end of "
            "each row, has to go"
        )
    return f"{opened.path} should hold a header and rows below it. Found {found}."


def _without_name(path: Path, header: Sequence[str]) -> list[Finding]:
    return [
        Finding(f"{path.name}, column {place}", "has no name")
        for place, name in enumerate(header, 1)
        if not name
    ]


def _wrong_width(opened: _Opened, faults: Sequence[tuple[int, int]]) -> list[Finding]:
    by_reason: dict[str, list[int]] = {}
    for number, width in faults:
        reason = f"has {width} cells where the header has {len(opened.header)}"
        by_reason.setdefault(reason, []).append(number)
    findings: list[tuple[int, Finding]] = []
    for reason, numbers in by_reason.items():
        findings += condensed(opened.path, numbers, [reason] * len(numbers))
    findings.sort(key=lambda numbered: numbered[0])
    return [finding for _, finding in findings]
