"""Tables: every way a spreadsheet writes them is read, and what is no table is named."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from mmpareto.data.tables._table import Table, read_table
from mmpareto.errors import MMParetoError


def texts(table: Table) -> dict[str, list[str]]:
    return {name: table.cells(name) for name in table.columns}


COLUMNS = {"id": ["a", "b"], "Größe": ["1", ""], "text": ['say "hi", 你好', "two\nlines"]}
CSV = 'id,Größe,text\na,1,"say ""hi"", 你好"\nb,,"two\nlines"\n'

WRITTEN = {
    "plain": CSV.encode(),
    "byte order mark": CSV.encode("utf-8-sig"),
    "UTF-16": CSV.encode("utf-16"),
    "big-endian UTF-16": b"\xfe\xff" + CSV.encode("utf-16-be"),
    "CRLF": CSV.replace("\n", "\r\n").replace("two\r\n", "two\n").encode(),
    "semicolons": 'id;Größe;text\na;1;"say ""hi"", 你好"\nb;;"two\nlines"\n'.encode(),
    "tabs": 'id\tGröße\ttext\na\t1\t"say ""hi"", 你好"\nb\tNaN\t"two\nlines"'.encode(),
    "empty lines": CSV.replace("\nb", "\n\n,,\nb").encode(),
    "spaces": CSV.replace("a,1,", " a , 1 ,").encode(),
    "quoted header": CSV.replace("id,", '"id",').encode(),
    "column without a name": b",id,Gr\xc3\xb6\xc3\x9fe,text\n0,a,1,"
    + b'"say ""hi"", \xe4\xbd\xa0\xe5\xa5\xbd"\n1,b,,"two\nlines"\n',
}


@pytest.mark.parametrize("how", WRITTEN)
def test_what_spreadsheets_write_is_read(how: str, tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes(WRITTEN[how])
    table = read_table(path)
    assert texts(table) == COLUMNS
    assert table.rows.tolist() == ([2, 5] if how == "empty lines" else [2, 3])
    assert [problem.reason for problem in table.problems] == (
        ["has no name"] if "without" in how else []
    )


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    path = tmp_path / "my.parquet"
    content = {
        "id": [1, 2],
        "score": [0.5, None],
        "whole": [3.0, float("nan")],
        "labels": [["a", "b"], []],
        "yes": [True, None],
        "__index_level_0__": [0, 1],
    }
    parquet.write_table(pyarrow.table(content), path)
    table = read_table(path)
    assert texts(table) == {
        "id": ["1", "2"],
        "score": ["0.5", ""],
        "whole": ["3", ""],
        "labels": ["a;b", ""],
        "yes": ["True", ""],
    }
    assert table.rows.tolist() == [1, 2]


def test_rows_with_other_numbers_of_cells_are_named(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("id,label\na,1\nb\nc,1,2\nd,1\n")
    table = read_table(path)
    assert (table.cells("id"), table.rows.tolist(), table.total) == (["a", "d"], [2, 5], 4)
    assert [(problem.where, problem.reason, problem.fatal) for problem in table.problems] == [
        ("my.csv, row 3", "has 1 cells where the header has 2", False),
        ("my.csv, row 4", "has 3 cells where the header has 2", False),
    ]


BROKEN = {
    "empty": (b"", "an empty file"),
    "blank": (b"\n \n", "an empty file"),
    "header": (b"id,label\n", "no complete row"),
    "doubled": (b"id,label,id\n1,2,3\n", "`id` several times"),
    "latin": (b"id,label\nM\xfcller,1\n", "other bytes at position 10"),
    "UTF-16 without a mark": ("id,label\na,b\n".encode("utf-16-le"), "other bytes at position 1"),
    "quote": (b'id,label\na,"never closed\n', "unexpected end of data"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_table_is_named(how: str, tmp_path: Path) -> None:
    path, (content, found) = tmp_path / "my.csv", BROKEN[how]
    path.write_bytes(content)
    with pytest.raises(MMParetoError, match=found) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.parquet"
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(MMParetoError, match=r"should be a Parquet file\. Found"):
        read_table(path)
    with pytest.raises(MMParetoError, match="Found no file"):
        read_table(tmp_path / "other.parquet")
