"""Tables of one's own with something wrong: what is left out, and what is refused, by row and
reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import manifest, notes, parts_of
from media import write_image

from mmpareto.data import Finding, Manifest
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def change(rows: list[dict[str, Any]], number: int, **cells: Any) -> list[dict[str, Any]]:
    """The rows, one of them changed; numbered as in the file."""
    rows[number - 2] = {**rows[number - 2], **cells}
    return rows


LEFT_OUT = {
    "no id": ({"id": ""}, "has no id"),
    "an id twice": ({"id": "s0"}, "has the id 's0' of row 2"),
    "no label": ({"label": ""}, "has no label"),
    "NaN label": ({"label": "NaN"}, "has no label"),
    "unknown split": ({"split": "holdout"}, "split 'holdout' is none of train, val, test"),
    "no split": ({"split": ""}, "split '' is none of train, val, test"),
    "text for a number": ({"age": "old"}, "column `age`: 'old' is no number"),
    "no modality": ({"age": "", "note": ""}, "has no modality: all its cells are empty"),
    "no file": ({"photo": "gone.png"}, "column `photo`: no file gone.png"),
    "no name for a file": ({"photo": "x" * 5000}, f"column `photo`: no file {'x' * 5000}"),
}


@pytest.mark.parametrize("fault", LEFT_OUT)
def test_a_row_that_cannot_be_used_is_named_and_left_out(fault: str, tmp_path: Path) -> None:
    cells, reason = LEFT_OUT[fault]
    write_image(tmp_path / "in.png")
    rows = change(change(notes(), 2, photo="in.png"), 4, **cells)
    data = manifest(tmp_path, rows, types={"photo": "image"})
    assert data.check().problems == [Finding("my.csv, row 4", reason)]
    with pytest.warns(
        UserWarning, match=r"1 of 12 rows of .*my\.csv are left out: `mmpareto data check"
    ):
        splits = data.load()
    assert splits.train[:]["id"] == ["s0", "s1", "s3", "s8", "s9", "s10", "s11"]


def test_numbers_that_are_none_leave_out_their_row(tmp_path: Path) -> None:
    data = manifest(
        tmp_path, [{**row, "label": f"{n}.5"} for n, row in enumerate(change(notes(), 4))]
    )
    assert not data.check().problems
    data = manifest(
        tmp_path,
        change([{**row, "label": f"{n}.5"} for n, row in enumerate(notes())], 4, label="inf"),
    )
    assert data.check().problems == [Finding("my.csv, row 4", "label 'inf' is no number")]


def test_a_class_that_is_only_tested_is_left_out(tmp_path: Path) -> None:
    data = manifest(tmp_path, change(notes(16), 8, label="cow"))
    (problem,) = data.check().problems
    assert problem.where == "my.csv, row 8"
    assert (
        problem.reason
        == "'cow', the label of 1 samples, is of none for train, val: they are left out"
    )
    assert data.target == Classes(("cat", "dog"))
    with pytest.warns(UserWarning, match="1 of 16"):
        assert len(data.load().test) == 3


def test_a_class_with_one_sample_is_trained_on_and_named(tmp_path: Path) -> None:
    data = manifest(tmp_path, change(notes(30), 9, label="cow"), fractions=(0.7, 0.1, 0.2))
    assert data.check().problems == [
        Finding("my.csv, row 9", "'cow', the label of 1 samples, is of none for val, test")
    ]
    assert parts_of(data)["s7"] == "train"
    assert data.target.outputs == 3


def test_a_group_in_several_parts_is_named(tmp_path: Path) -> None:
    rows = [{**row, "who": f"person {n // 6}"} for n, row in enumerate(notes())]
    assert [
        problem.reason for problem in manifest(tmp_path, rows, group="who").check().problems
    ] == [
        "'person 0' is in several parts: train, val",
        "'person 1' is in several parts: train, test",
    ]


def cut(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name not in names} for row in rows]


def fill(name: str, value: Any) -> list[dict[str, Any]]:
    """Rows with one column filled by `value`, or by what it makes of the row."""
    return [{**row, name: value(row) if callable(value) else value} for row in notes()]


REFUSED: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no validation part": (
        fill("split", lambda row: row["split"].replace("val", "test")),
        {},
        "no sample is left for val",
    ),
    "no label in any row": (fill("label", ""), {}, "no sample is left for train, val, test"),
    "one class": (fill("label", "cat"), {}, "have the same label, cat"),
    "one number": (fill("label", "0.5"), {}, "have the same label, 0.5"),
    "a modality that is only tested": (
        fill("extra", lambda row: row["note"] if row["split"] == "test" else ""),
        {"types": {"extra": "text"}},
        "no training sample has `extra`",
    ),
    "no modality": (cut(notes(), "note", "age"), {}, "a column for each modality"),
    "a model's own name": (fill("joint", lambda row: row["note"]), {}, "Found `joint`: rename"),
    "the name of a model's method": (
        fill("values", lambda row: row["note"]),
        {},
        "Found `values`: rename",
    ),
    "a point in a name": (fill("a.b", lambda row: row["note"]), {}, "Found `a.b`: rename"),
    "no label column": (
        cut(notes(), "label"),
        {},
        "Found `label`, which is none of id, split, note, age",
    ),
    "no id column": (notes(), {"id": "name"}, "`data.id` should be a column of"),
    "no group column": (notes(), {"group": "who"}, "`data.group` should be a column of"),
    "an unknown type": (notes(), {"types": {"age": "integer"}}, "Found age: 'integer'"),
    "the type of no column": (
        notes(),
        {"types": {"shape": "text"}},
        "about the columns note, age. Found `shape`",
    ),
    "a table of text": (notes(), {"tables": {"x": ["note"]}}, "Found `note`: state its type"),
    "a column in two tables": (
        notes(),
        {"tables": {"x": ["age"], "y": ["age"]}},
        "Found `age` several times",
    ),
    "no array": (fill("extra", "my.csv"), {"types": {"extra": "array"}}, "should be .npy arrays"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_makes_training_impossible_is_said(fault: str, tmp_path: Path) -> None:
    rows, stated, reason = REFUSED[fault]
    data = manifest(tmp_path, rows, **stated)
    findings = data.check()
    assert not findings.trainable
    assert reason in " ".join(problem.reason for problem in findings.problems if problem.fatal)
    with pytest.raises(MMParetoError) as caught:
        data.load()
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"fractions": (0.5, 0.5, 0.5)}, "add up to 1"),
        ({"fractions": (1.0, 0.0, 0.0)}, "should be positive"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, "should be positive"),
        ({"image_size": 0}, r"`data\.image_size` should be finite and positive"),
        ({"seconds": float("inf")}, r"`data\.seconds` should be finite and positive"),
        ({"task": "rank"}, r"`data\.task` should be auto"),
    ],
)
def test_settings_that_are_none_are_refused(stated: dict[str, Any], found: str) -> None:
    with pytest.raises(MMParetoError, match=found):
        Manifest("my.csv", **stated)


def test_no_file_at_all_is_said_with_the_option_to_add(tmp_path: Path) -> None:
    with pytest.raises(MMParetoError, match=r"Found none: add --data\.path"):
        Manifest().load()
    (problem,) = Manifest(tmp_path / "other.csv").check().problems
    assert problem.fatal
    assert "Found no file" in problem.reason


def test_files_must_lie_in_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write_image(tmp_path / "out.png")
    write_image(inner / "in.png")
    (inner / "link.png").symlink_to(tmp_path / "out.png")
    rows = [{**row, "photo": "in.png"} for row in notes(16)]
    for number, cell in (
        (3, "../out.png"),
        (4, str(tmp_path / "out.png")),
        (5, "link.png"),
        (10, str(inner / "in.png")),
    ):
        change(rows, number, photo=cell)
    problems = manifest(inner, rows).check().problems
    assert [
        problem.where for problem in problems if not problem.reason.endswith("too: my.csv, row 2")
    ][:3] == [
        "my.csv, row 3",
        "my.csv, row 4",
        "my.csv, row 5",
    ]
    # The folder can be stated; then nothing of this is outside.
    rows = [{**row, "photo": f"inner/{row['photo']}"} for row in rows]
    change(rows, 4, photo=str(tmp_path / "out.png"))
    change(rows, 10, photo=str(inner / "in.png"))
    assert manifest(inner, rows, root=tmp_path).contents.problems == []


@settings(max_examples=30)
@given(st.data())
def test_any_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
        ["", "nan", "1", "train", "a"]
    )
    names = st.sampled_from(["id", "label", "split", "x", "", "joint", "ü"])
    header = data.draw(st.lists(names, min_size=1, max_size=5))
    rows = data.draw(st.lists(st.lists(cells, min_size=1, max_size=5), max_size=8))
    path = folder / "my.csv"
    path.write_text(
        "\n".join(",".join(row) for row in [header, *rows]), encoding="utf-8", newline=""
    )
    recipe = Manifest(path)
    findings = recipe.check()
    assert findings.trainable or findings.problems
    if findings.trainable:
        assert all(len(part) for part in vars(recipe.load()).values())
