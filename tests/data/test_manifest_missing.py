"""Words that stand for a missing cell, in each kind of column, and how to have them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from manifests import manifest, notes
from media import write_image

from mmpareto.data.tables._settings import MISSING

WORDS = ("NA", "NULL", "#N/A", "None", "<NA>", "-", "?", "nan", "n/a")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def with_word(name: str, word: str, every: int, count: int = 60) -> list[dict[str, Any]]:
    """`notes` of which so-many-th cells of one column hold a word."""
    rows = [row | {"x": "7"} for row in notes(count)]
    for row in rows[::every]:
        row[name] = word
    return rows


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("every", [7, 3])
def test_a_missing_number_stays_one(word: str, every: int, tmp_path: Path) -> None:
    data = manifest(tmp_path, with_word("age", word, every))
    contents = data.contents
    assert contents.types["age"].kind == "number"
    assert len(contents.parts) == 60
    assert contents.problems == []
    count = len(range(0, 60, every))
    facts = dict(data.check().facts)
    assert facts["column age, missing"] == (
        f"'{word}' {count} times: read as empty, as data.missing says"
    )
    train = data.load().train[:]["inputs"]["table"]
    absent = [row["age"] == word for row in with_word("age", word, every) if _is_train(row)]
    assert train[:, 1].bool().tolist() == absent
    assert train[train[:, 1] == 1][:, 0].tolist() == [0] * sum(absent)


def _is_train(row: dict[str, Any]) -> bool:
    return bool(row["split"] == "train")


def test_a_missing_label_is_no_class(tmp_path: Path) -> None:
    contents = manifest(tmp_path, with_word("label", "NA", 9)).contents
    assert set(contents.labels.values()) == {("cat",), ("dog",)}
    assert [(problem.where, problem.reason) for problem in contents.problems] == [
        ("my.csv, rows 2, 11, 20 and 4 more", "has no label")
    ]


def test_a_missing_file_name_is_a_missing_modality(tmp_path: Path) -> None:
    rows = with_word("photo", "null", 6)
    for number, row in enumerate(rows):
        if "photo" not in row:
            row["photo"] = f"{number}.png"
            write_image(tmp_path / row["photo"])
    contents = manifest(tmp_path, rows).contents
    assert contents.types["photo"].kind == "image"
    assert len(contents.parts) == 60
    assert contents.present("photo").sum() == 50


def test_a_regression_with_gaps_is_one(tmp_path: Path) -> None:
    rows = [row | {"label": f"{n * 37 % 101}.5"} for n, row in enumerate(notes(60))]
    for row in rows[::3]:
        row["label"] = "NA"
    contents = manifest(tmp_path, rows).contents
    assert contents.task.kind == "number"
    assert len(contents.parts) == 40


def test_names_that_look_like_missing_are_kept_or_had_back(tmp_path: Path) -> None:
    rows = [row | {"label": ("Nan", "Phrae", "Lampang")[n % 3]} for n, row in enumerate(notes(60))]
    assert len(manifest(tmp_path, rows).contents.parts) == 60
    rows = [row | {"label": ("NA", "DE")[n % 2]} for n, row in enumerate(notes(60))]
    assert not manifest(tmp_path, rows).check().trainable
    data = manifest(tmp_path, rows, missing=[])
    assert data.target.names == ("DE", "NA")
    rows = with_word("age", "-999", 7)
    assert manifest(tmp_path, rows, missing=[*MISSING, "-999"]).contents.table.markers == {
        "age": {"-999": 9}
    }
