"""Records as CSV: names come back as they were, and no cell is a formula."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpareto._storage._csv import guarded, read_records, write_records

FORMULAS = [
    '=HYPERLINK("http://evil","see")',
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r=1",
    "'=1",
    "''",
    "\uff1d1",
]


@dataclass(frozen=True)
class Record:
    name: str
    value: float


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(FORMULAS))
def test_a_cell_is_no_formula_and_tells_its_text(text: str) -> None:
    cell = guarded(text)
    assert not cell.startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20"))
    assert cell.removeprefix("'") == text or cell == text


@pytest.mark.parametrize("name", [*FORMULAS, "audio", "a'b", 'quo"te', "line\nbreak", "a,b"])
def test_names_are_read_back(tmp_path: Path, name: str) -> None:
    records = [Record(name, -0.5)]
    write_records(tmp_path / "a.csv", Record, records)
    assert read_records(tmp_path / "a.csv", Record) == records
    with (tmp_path / "a.csv").open(newline="") as file:
        _, (cell, number) = csv.reader(file)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert number == "-0.5"  # a number stays one


def test_a_quote_that_guards_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,value\n'tis,1\n")
    assert read_records(tmp_path / "a.csv", Record) == [Record("'tis", 1.0)]
