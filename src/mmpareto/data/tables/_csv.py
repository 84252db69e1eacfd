"""CSV files as columns of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import compute
from pyarrow import csv as arrow_csv

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._csv_file import CsvFile, open_csv
from mmpareto.data.tables._findings import condensed
from mmpareto.errors import MMParetoError

_LARGEST_BLOCK = 2**31 - 1
_EMPTY = "has no modality: all its cells are empty"


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
        left_out: Why rows are not in the columns, by their numbers.
    """

    header: list[str]
    columns: list[pyarrow.Array | None]
    rows: np.ndarray
    total: int
    problems: list[Finding] = field(default_factory=list)
    lists: set[int] = field(default_factory=set)
    may_have_commas: bool = False
    unfit: dict[int, str] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)


def read_csv(path: Path) -> RawTable:
    """Reads a CSV file.

    Raises:
        MMParetoError: If it cannot be read, or holds no complete row.
    """
    opened = open_csv(path)
    faults: dict[int, int] = {}
    left_out: dict[int, str] = {}

    def skip(row: arrow_csv.InvalidRow) -> str:
        number = row.number + opened.line - 1
        if row.text.strip(f' \r\n"{opened.delimiter}'):
            faults[number] = row.actual_columns
        else:
            blanks.append(number)
        if row.text.strip():  # else it is an empty line, and no row
            left_out[number] = _EMPTY
        return "skip"

    blanks: list[int] = []
    columns = _columns(opened, skip)
    count = len(columns[0]) + len(faults) + len(blanks)
    numbers = np.setdiff1d(np.arange(count) + opened.line + 1, [*faults, *blanks])
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
    if len(columns) > 1:
        lines = _empty_lines(opened, count)
        left_out |= dict.fromkeys(set(numbers[is_blank].tolist()) - lines, _EMPTY)
    raw.left_out = left_out | {n: _width_fault(opened, width) for n, width in faults.items()}
    return raw


def _columns(opened: CsvFile, skip: object) -> list[pyarrow.Array]:
    places = list(map(str, range(len(opened.header))))
    try:
        table = _table(opened, places, skip)
    except pyarrow.ArrowException as error:
        found = " ".join(str(error).split())
        raise MMParetoError(f"{opened.path} should be a CSV file. Found: {found}") from error
    return [compute.utf8_trim_whitespace(column.combine_chunks()) for column in table.itercolumns()]


def _table(opened: CsvFile, places: list[str], skip: object) -> pyarrow.Table:
    return arrow_csv.read_csv(
        pyarrow.BufferReader(opened.data),
        read_options=arrow_csv.ReadOptions(
            use_threads=False,  # rows have no numbers else
            block_size=min(len(opened.data) + 1, _LARGEST_BLOCK),
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


def _empty_lines(opened: CsvFile, count: int) -> set[int]:
    """Numbers of the lines in which there is no delimiter either: they are no rows.

    They are not looked for where cells have lines of their own.
    """
    texts = opened.data.splitlines()
    if len(texts) != count + 1:
        return set()
    return {number for number, text in enumerate(texts, opened.line) if not text.strip(b' "')}


def _no_row(opened: CsvFile, faults: Mapping[int, int]) -> str:
    found = "no complete row"
    if faults:
        (width, _), *_ = Counter(faults.values()).most_common(1)
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


def _wrong_width(opened: CsvFile, faults: Mapping[int, int]) -> list[Finding]:
    causes: dict[int, dict[int, str]] = {}
    for number, width in faults.items():
        causes.setdefault(width, {})[number] = _width_fault(opened, width)
    return condensed(opened.path, causes.values())


def _width_fault(opened: CsvFile, width: int) -> str:
    return f"has {width} cells where the header has {len(opened.header)}"
