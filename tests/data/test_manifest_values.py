"""Cells as programs and people really write them, which are read as meant or refused by name."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from manifests import manifest, notes
from pyarrow import parquet

from mmpareto.data import Manifest
from mmpareto.data.tables._cells import make_column
from mmpareto.data.tables._guess import column_types, guess
from mmpareto.data.tables._labels import label_tensor, make_target
from mmpareto.data.tables._table import read_table
from mmpareto.data.tables._tabular import Standardised, table_tensor
from mmpareto.errors import MMParetoError


def written(folder: Path, text: str) -> dict[str, list[str]]:
    """The columns of a CSV file."""
    path = folder / "my.csv"
    path.write_text(text, encoding="utf-8")
    table = read_table(path)
    return {name: table.cells(name) for name in table.columns}


def parquet_with(folder: Path, cells: Any) -> Path:
    """A Parquet file of which column ``c`` holds these."""
    path = folder / "my.parquet"
    parquet.write_table(
        pyarrow.table({"id": [str(n) for n in range(len(cells))], "c": cells}), path
    )
    return path


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["a_1.qoi", "a_2.qoi", "b/a_3.qoi", "", "none"], "a_1.qoi"),
        (["a.npz", "b.npz"] * 2, "a.npz"),  # though they repeat
        (["1.heic", "2.avif", "3.jp2", "4.tga"], "1.heic"),
        (["a.wma", "b.amr"], "a.wma"),
        (["a.png", "b.wav", "my c.mp4", "d.npy"], "a.png"),
        (["README", "LICENSE", "a b", "other"], "README"),
    ],
)
def test_files_of_no_one_type_are_not_taken_for_text(
    cells: list[str], shown: str, tmp_path: Path
) -> None:
    for name in ("README", "LICENSE", "a b"):
        (tmp_path / name).touch()
    with pytest.raises(
        MMParetoError, match=r"Column `photo` should have a type.* `types: \{photo: image\}`"
    ) as caught:
        guess(make_column(cells), tmp_path, "photo")
    assert f"'{shown}'" in str(caught.value)


@pytest.mark.parametrize(
    "cell",
    [
        "It ends with a period.",
        "Sunny.",
        "Wait...",
        "https://a.org/b.jfif",
        "www.a.de",
        "a.com",
        "me@mail.de",
        "01.02.2024",
        "10.0.0.12",
        "3.14cm",
        "$12.50usd",
    ],
)
def test_what_has_a_period_is_not_a_file_for_that(cell: str, tmp_path: Path) -> None:
    assert guess(make_column([cell]), tmp_path).kind == "text"


def test_a_column_of_files_is_refused_until_its_type_is_stated(tmp_path: Path) -> None:
    rows = [row | {"photo": f"{row['id']}.qoi"} for row in notes()]
    findings = manifest(tmp_path, rows).check()
    assert any(
        "Column `photo`" in problem.reason and problem.fatal for problem in findings.problems
    )
    assert (
        manifest(tmp_path, rows, types={"photo": "image"}).contents.types["photo"].kind == "image"
    )
    assert "photo" not in manifest(tmp_path, rows, types={"photo": "ignore"}).contents.modalities


def test_a_folder_that_is_missing_leaves_the_others_frames_of_videos(tmp_path: Path) -> None:
    cells = [f"clips/c{n}" for n in range(20)]
    for cell in cells[1:]:
        (tmp_path / cell).mkdir(parents=True)
    assert guess(make_column(cells), tmp_path) == ("video", "19 of 20 cells are folders, of frames")
    assert guess(make_column(cells * 2), tmp_path).kind == "video"


def test_lists_of_numbers_are_arrays_and_those_of_strings_are_labels(tmp_path: Path) -> None:
    numbers = parquet_with(tmp_path, [[0.5 * n, 1.5, 2.0] for n in range(4)])
    table = read_table(numbers)
    assert column_types(table, {"id"}, {}, tmp_path)["c"] == ("array", "lists of numbers")
    with pytest.raises(MMParetoError, match="should say array or ignore of lists of numbers"):
        column_types(table, {"id"}, {"c": "text"}, tmp_path)
    assert column_types(table, {"id"}, {"c": "ignore"}, tmp_path)["c"].kind == "ignore"
    assert column_types(table, {"id", "c"}, {}, tmp_path) == {}  # labels may be 0 and 1.5
    with pytest.raises(MMParetoError, match="lists of numbers"):
        guess(make_column(["[0.1, 0.2]", "[0.3 0.4]"]), tmp_path)
    strings = read_table(parquet_with(tmp_path, [["x", "y"], ["x"]]))
    assert strings.cells("c") == ["x;y", "x"]
    assert column_types(strings, {"id"}, {}, tmp_path)["c"].kind == "text"


def strange(data: bytes) -> pyarrow.Array:
    """Two strings, each of one of these bytes."""
    offsets = pyarrow.array([0, 1, 2], pyarrow.int32()).buffers()[1]
    return pyarrow.StringArray.from_buffers(2, offsets, pyarrow.py_buffer(data))


UNFIT = {
    "bytes": ([None, b"\xff\xd8"], "in row 2 bytes; keep files beside"),
    "dict": ([{"a": 1}, {"a": 2}], "in row 1 dict"),
    "map": (
        pyarrow.array([[("a", 1)], []], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        "in row 1 tuple",
    ),
    "list of bytes": ([[b"a"], []], "in row 1 bytes"),
    "no UTF-8": (strange(b"a\xff"), "in row 2 a value that cannot be read: 'utf-8' codec"),
    "no time zone": (
        pyarrow.array([1, 2], pyarrow.timestamp("us", tz="No/Where")),
        "in row 1 a value that cannot be",
    ),
}


@pytest.mark.parametrize("how", UNFIT)
def test_columns_that_cannot_be_cells_are_named_unless_they_are_ignored(
    how: str, tmp_path: Path
) -> None:
    cells, found = UNFIT[how]
    table = read_table(path := parquet_with(tmp_path, cells))
    assert table.cells("id") == ["0", "1"]
    assert column_types(table, {"id"}, {"c": "ignore"}, tmp_path)["c"] == ("ignore", "stated")
    for used, stated in (({"id"}, {}), ({"id"}, {"c": "text"}), ({"id", "c"}, {})):
        with pytest.raises(MMParetoError) as caught:
            column_types(table, used, stated, tmp_path)
        assert str(caught.value).startswith(
            f"{path}, column `c`, should be of text or numbers. Found {found}"
        )
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, None], pyarrow.timestamp("ns"), ["1970-01-01 00:00:00.000000001", ""]),
        (
            [1000, 2000],
            pyarrow.timestamp("ns"),
            ["1970-01-01 00:00:00.000001", "1970-01-01 00:00:00.000002"],
        ),
        ([1, 2], pyarrow.duration("ns"), ["1", "2"]),
        ([1, 2], pyarrow.time64("ns"), ["00:00:00.000000001", "00:00:00.000000002"]),
    ],
)
def test_times_finer_than_pythons_are_text(
    values: list[int], kind: Any, cells: list[str], tmp_path: Path
) -> None:
    assert read_table(parquet_with(tmp_path, pyarrow.array(values, kind))).cells("c") == cells


def test_dates_beyond_pythons_calendar_fail_nothing(tmp_path: Path) -> None:
    table = read_table(parquet_with(tmp_path, pyarrow.array([10**8, 1], pyarrow.date32())))
    assert table.cells("c")[1] == "1970-01-02"


def test_labels_keep_their_precision(tmp_path: Path) -> None:
    values = [1700000000.5 + n for n in range(12)]
    rows = [row | {"label": repr(value)} for row, value in zip(notes(), values, strict=True)]
    data = manifest(tmp_path, rows)
    train = data.load().train
    label = torch.stack([train[n]["label"] for n in range(len(train))])
    assert label.tolist() == [
        value for row, value in zip(rows, values, strict=True) if row["split"] == "train"
    ]
    standardised = ((label - label.mean()) / label.std(correction=0)).float()[:, None]
    assert data.target.score(standardised, label) == pytest.approx(1)
    learned = data.target.standardised(label)
    assert data.target.loss(standardised, learned).item() == pytest.approx(0, abs=1e-10)


def test_labels_that_differ_by_rounding_alone_have_a_spread_of_one() -> None:
    assert make_target("number", "x", [0.1, math.nextafter(0.1, 1)]).std == 1


def test_a_column_constant_but_for_rounding_is_not_blown_up() -> None:
    constant = Standardised.fit(np.full(3, 0.1)).encode(np.array([0.2]))
    assert constant[0].tolist() == pytest.approx([0.1, 0])
    assert Standardised.fit(np.array([0.1, math.nextafter(0.1, 1)])).std == 1
    small = Standardised.fit(np.array([1e-20, 3e-20])).encode(np.array([4e-20]))
    assert small[0].tolist() == pytest.approx([2, 0])  # small, but it varies


def test_numbers_far_from_the_training_parts_are_bounded() -> None:
    feature = Standardised.fit(np.array([1e-6, 2e-6]))
    encoded = table_tensor([feature], [np.array([9e37, -9e37, 1e-6])])
    assert encoded[:, 0].tolist() == pytest.approx([1e6, -1e6, -1])


def test_a_class_of_thousands_of_digits_is_a_name() -> None:
    long = "7" * 5000
    target = make_target("class", "label", [(long,), ("10",), ("9",)])
    assert label_tensor([("10",), ("9",), (long,)], target).tolist() == [0, 2, 1]  # by text


def test_a_long_text_is_read_and_the_programs_limit_stays(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    columns = written(tmp_path, f"id,note\na,{'x' * 200_000}\n")
    assert len(columns["note"][0]) == 200_000
    assert csv.field_size_limit() == limit
    with pytest.raises(MMParetoError, match=r"CSV file\. Found in line 2: unexpected end of data"):
        written(tmp_path, 'id,note\na,"x\n')
    assert csv.field_size_limit() == limit


def test_decimal_commas_are_points_where_semicolons_divide_the_cells(tmp_path: Path) -> None:
    rows = ("a;3,5;1,5;1,5;1", "b;-,5e-1;2.5;x,y;2", "", "c; 4 ;3;z;3", "d;NaN;;;4", "")
    text = "\n".join(["id;label;mixed;words;whole", *rows])
    assert written(tmp_path, text) == {
        "id": ["a", "b", "c", "d"],
        "label": ["3.5", "-.5e-1", "4", ""],
        "mixed": ["1,5", "2.5", "3", ""],
        "words": ["1,5", "x,y", "z", ""],
        "whole": ["1", "2", "3", "4"],
    }
    assert written(tmp_path, 'id,label\na,"3,5"\nb,"1,5"\n')["label"] == ["3,5", "1,5"]


def test_a_regression_with_decimal_commas_is_one(tmp_path: Path) -> None:
    lines = [f"{row['id']};{n},5;{row['split']};{row['note']}" for n, row in enumerate(notes())]
    (tmp_path / "my.csv").write_text("\n".join(["id;label;split;note", *lines]))
    contents = Manifest(tmp_path / "my.csv").contents
    assert contents.task.kind == "number"
    assert list(contents.labels.values()) == [n + 0.5 for n in range(12)]


def test_whole_numbers_are_the_same_with_and_without_a_point(tmp_path: Path) -> None:
    columns = written(
        tmp_path, "id,label,score,version\na,1.0,1.0,1.0\nb,1,2.5,1.0\nc,,3,x\nd,-2.00,4,1\n"
    )
    assert columns["label"] == ["1", "1", "", "-2"]
    assert columns["score"] == ["1.0", "2.5", "3", "4"]
    assert columns["version"] == ["1.0", "1.0", "x", "1"]
    rows = [row | {"label": ("0", "1", "0.0", "1.0")[n % 4]} for n, row in enumerate(notes())]
    assert (
        make_target(
            "class", "label", list(manifest(tmp_path, rows).contents.labels.values())
        ).outputs
        == 2
    )


@pytest.mark.parametrize("error", [pyarrow.ArrowNotImplementedError, pyarrow.ArrowIndexError])
def test_what_pyarrow_cannot_read_is_one_line(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: parquet.ParquetFile) -> None:
        raise error("Two\nlines")

    path = parquet_with(tmp_path, ["x"])
    monkeypatch.setattr(parquet.ParquetFile, "read", read)
    with pytest.raises(MMParetoError, match=f"^{path} should be a Parquet file. Found: Two lines$"):
        read_table(path)
