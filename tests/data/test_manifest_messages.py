"""One cause, one message, with its remedy."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from manifests import manifest, notes
from media import write_image

from mmpareto.data import Manifest
from mmpareto.data.tables._table import read_table
from mmpareto.errors import MMParetoError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def with_photos(folder: Path, cell: Callable[[int], str]) -> Manifest:
    """A manifest of twenty rows, whose photos are called something else than the files."""
    for number in range(20):
        write_image(folder / "img" / unicodedata.normalize("NFD", f"é{number}.png"))
    rows = [row | {"photo": cell(number)} for number, row in enumerate(notes(20))]
    return manifest(folder, rows)


DIFFERENT: dict[str, tuple[Callable[[int], str], str]] = {
    "backslashes": (
        lambda n: unicodedata.normalize("NFD", f"img\\é{n}.png"),
        "which differs by backslashes",
    ),
    "accents": (lambda n: f"img/é{n}.png", "which differs by the form of its accents in Unicode"),
    "case": (
        lambda n: unicodedata.normalize("NFD", f"Img/é{n}.PNG"),
        "which differs by upper and lower case",
    ),
    "another folder": (lambda n: f"photos/{n}.png", "state the right one as --data.root"),
    "absolute paths": (lambda n: f"/elsewhere/{n}.png", "State their folder as --data.root"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_rows_that_fail_for_one_reason_are_one_line_with_the_remedy(
    case: str, tmp_path: Path
) -> None:
    cell, said = DIFFERENT[case]
    data = with_photos(tmp_path, cell)
    problem, *others = data.check().problems
    assert problem.where == "my.csv, rows 2, 3, 4 and 17 more"
    assert said in problem.reason
    assert all(other.fatal for other in others)


@pytest.mark.parametrize(
    ("head", "line", "said"),
    [
        ("# export\nid,label,x", "{0},{1},{0}", "have 3 cells, but the header in line 1 ('# exp"),
        ("id,label,x", "{0},{1},{0},", "have 4 cells, but the header in line 1 ('id,label,x')"),
    ],
)
def test_a_header_that_fits_no_row_is_shown(
    head: str, line: str, said: str, tmp_path: Path
) -> None:
    rows = [line.format(n, "ab"[n % 2]) for n in range(20)]
    (tmp_path / "my.csv").write_text("\n".join([head, *rows]))
    with pytest.raises(MMParetoError, match="no complete row") as caught:
        read_table(tmp_path / "my.csv")
    assert said in str(caught.value)


def test_excels_first_line_is_read_as_excel_does(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_bytes(b"sep=;\r\nid;x\r\na;1,5\r\n\r\nb;2\r\n")
    table = read_table(tmp_path / "my.csv")
    assert table.cells("x") == ["1.5", "2"]
    assert table.rows.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\3\4", "a spreadsheet, or another archive; save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet of old Excel"),
        (b"\x1f\x8b\x08", "a file packed by gzip; unpack it with gunzip"),
        (b"ARROW1\0\0", "a Feather file; save it with to_parquet"),
    ],
)
@pytest.mark.parametrize("name", ["my.csv", "my.xlsx", "my.parquet"])
def test_other_kinds_of_files_say_what_to_do(
    content: bytes, said: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content + bytes(100))
    with pytest.raises(MMParetoError, match=said):
        read_table(tmp_path / name)


def test_many_labels_that_are_none_are_one_line(tmp_path: Path) -> None:
    rows = notes(60)
    for number, row in enumerate(rows):
        row["label"] = f"{number * 37 % 101}.5" if number > 9 else f"no. {number}"
    (problem,) = manifest(tmp_path, rows).check().problems
    assert problem.where == "my.csv, rows 2, 3, 4 and 7 more"
    assert problem.reason == "label 'no. 0' is no number"


def test_rows_are_samples_without_names(tmp_path: Path) -> None:
    rows = notes(20)
    for row in rows:
        del row["id"]
    data = manifest(tmp_path, rows)
    assert data.contents.problems == []
    assert data.load().train[:3]["id"] == ["2", "3", "4"]
