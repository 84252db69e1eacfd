"""A file of rows and named columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import compute

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._cells import counted, make_column, with_points, without_points
from mmpareto.data.tables._csv import RawTable, read_csv
from mmpareto.data.tables._numbers import plain_numbers, written_numbers
from mmpareto.data.tables._parquet import read_parquet
from mmpareto.data.tables._settings import MISSING
from mmpareto.errors import MMParetoError

_ZIP, _OLD_EXCEL = b"PK\3\4", b"\xd0\xcf\x11\xe0"
_OTHER_FILES = {
    _ZIP: "a spreadsheet, or another archive; save the sheet as CSV UTF-8",
    _OLD_EXCEL: "a spreadsheet of old Excel; save the sheet as CSV UTF-8",
    b"\x1f\x8b": "a file packed by gzip; unpack it with gunzip",
    b"BZh": "a file packed by bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "a file packed by xz; unpack it with unxz",
    b"ARROW1": "a Feather file; save it with to_parquet",
    b"SQLite format 3": "a database; export the table as CSV UTF-8",
    b"%PDF": "a PDF; save the table as CSV UTF-8",
}
"""First bytes of files that are taken for tables, and what to do."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a file of rows says.

    Args:
        path: The file.
        columns: For each column its cells as text, null where there is nothing; of lists of
            numbers, which are in `vectors`, how many there are.
        rows: For each row its number in the file, as a spreadsheet shows it: below a header it
            begins with 2.
        total: Number of rows in the file.
        problems: What had to be left out.
        unfit: For each column that is neither text nor numbers, or cannot be read, what was found;
            its cells are empty.
        vectors: Lists of numbers.
        lists: Columns of lists of text.
        empty: For each column which of its cells are empty, but do not say that they are missing.
        markers: For each column the words that are read as missing, and how often they occur.
        left_out: Why rows of the file are not in the table, by their numbers.
    """

    path: Path
    columns: dict[str, pyarrow.StringArray]
    rows: np.ndarray
    total: int
    problems: list[Finding]
    unfit: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, pyarrow.ListArray] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    empty: dict[str, np.ndarray] = field(default_factory=dict)
    markers: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        return {}

    def cells(self, name: str) -> list[str]:
        """A column as Python's text; ``""`` where there is nothing."""
        cells: list[str] = self.columns[name].fill_null("").to_pylist()
        return cells

    def numbers(self, name: str) -> np.ndarray:
        """The numbers in a column, float64 [N]; NaN where there is none."""
        if name not in self._numbers:
            self._numbers[name] = plain_numbers(self.columns[name])
        return self._numbers[name]

    def read_as_written(self, name: str, decimal_comma: bool | None = None) -> None:
        """Takes for a column's numbers those that people write, see `written_numbers`."""
        if np.isnan(self.numbers(name)[self.filled(name)]).any():
            self._numbers[name] = written_numbers(self.columns[name], decimal_comma)

    def clear(self, name: str, places: Iterable[int]) -> None:
        """Empties cells of a column."""
        emptied = np.zeros(len(self.rows), bool)
        emptied[list(places)] = True
        nothing = pyarrow.scalar(None, pyarrow.string())
        self.columns[name] = compute.if_else(emptied, nothing, self.columns[name])

    def filled(self, name: str) -> np.ndarray:
        """Which rows have something in a column; bool [N]."""
        filled: np.ndarray = self.columns[name].is_valid().to_numpy(zero_copy_only=False)
        return filled


def read_table(path: Path | str, missing: Sequence[str] = MISSING) -> Table:
    """Reads a CSV or a Parquet file.

    A CSV file is UTF-8, or UTF-16 with a byte order mark, with any line ends; cells are divided by
    whichever of comma, semicolon and tab is the most frequent in its first line, and may be quoted.
    Rows with another number of cells than the header are left out. The cells of a list of text in a
    Parquet file are joined by semicolons.

    Where semicolons divide the cells, a column of numbers with decimal commas gets points; in a
    column of whole numbers ``1.0`` is ``1``.

    Args:
        path: The file; what it is is found by its content.
        missing: Words that stand for an empty cell.

    Raises:
        MMParetoError: If the file cannot be read, is empty, or names a column twice.
    """
    path = Path(path)
    if not path.is_file():
        raise MMParetoError(
            f"Parameter `data.path` should be a CSV or Parquet file. Found no file {path}."
        )
    raw = _raw(path)
    for name, count in Counter(raw.header).items():
        if name and count > 1:
            raise MMParetoError(
                f"{path} should name each column once. Found `{name}` several times."
            )
    table = Table(path, {}, raw.rows, raw.total, raw.problems, left_out=raw.left_out)
    for place, name in enumerate(raw.header):
        if name:
            _add(table, name, raw, place, missing)
        raw.columns[place] = None  # so that its memory is free
    return table


def _raw(path: Path) -> RawTable:
    with path.open("rb") as file:
        start = file.read(16)
    for first, found in _OTHER_FILES.items():
        if start.startswith(first):
            raise MMParetoError(
                f"Parameter `data.path` should be a CSV or Parquet file. Found {path}, {found}."
            )
    is_parquet = start.startswith(b"PAR1") or path.suffix.lower() in (".parquet", ".pq")
    return read_parquet(path) if is_parquet else read_csv(path)


def _add(table: Table, name: str, raw: RawTable, place: int, missing: Sequence[str]) -> None:
    """Adds a column to a table."""
    text = raw.columns[place]
    if place in raw.lists:
        table.lists.add(name)
    if text is None:
        table.unfit[name] = raw.unfit[place]
        table.columns[name] = pyarrow.nulls(len(raw.rows), pyarrow.string())
        return
    if not pyarrow.types.is_string(text.type):
        table.vectors[name] = text
        table.lists.add(name)
        lengths = compute.list_value_length(text)
        text = compute.if_else(compute.equal(lengths, 0), "", lengths.cast(pyarrow.string()))
    column = make_column(text, missing)
    if column.null_count:
        table.empty[name] = compute.equal(text, "").fill_null(False).to_numpy(zero_copy_only=False)
        words = counted(text.filter(compute.and_(column.is_null(), text.is_valid())))
        words.pop("", None)
        if words:
            table.markers[name] = words
    if raw.may_have_commas:
        column = with_points(column)
    table.columns[name] = without_points(column)
