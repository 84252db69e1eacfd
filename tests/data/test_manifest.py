"""The user's own data: what is loaded, and what is left out or refused, by row and reason."""

from __future__ import annotations

import pickle
import random
import sys
from dataclasses import fields
from pathlib import Path
from types import FrameType

import numpy as np
import pyarrow
import pytest
from manifests import manifest, notes, parts_of, with_media
from pyarrow import parquet

from mmpareto.balancing import Uniform
from mmpareto.data import Manifest
from mmpareto.data.tables._doubts import doubtful_columns
from mmpareto.data.tables._guess import column_types
from mmpareto.data.tables._inputs import cells_of
from mmpareto.data.tables._table import read_table
from mmpareto.data.tables._tabular import FEATURES, table_tensor
from mmpareto.models import LateFusionCNN
from mmpareto.specs import Classes, Labels, Number, Text
from mmpareto.training import RunConfig, load_config, save_config


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def test_every_kind_of_column_is_loaded_and_missing_cells_are_missing(tmp_path: Path) -> None:
    data = manifest(tmp_path, with_media(tmp_path))
    assert data.shapes | {"voice": None} == {
        "note": Text(128, 4096),
        "photo": (3, 16, 16),
        "voice": None,
        "clip": (3, 2, 16, 16),
        "vector": (5,),
        "table": (2,),
    }
    splits = data.load()
    assert [len(part) for part in vars(splits).values()] == [8, 2, 2]
    batch = splits.train[list(range(8))]
    assert batch["id"] == ["s0", "s1", "s2", "s3", "s8", "s9", "s10", "s11"]
    for name, value in batch["inputs"].items():
        shape = data.shapes[name]
        assert value.shape == (8, *((shape.length,) if isinstance(shape, Text) else shape)), name
        assert value.isfinite().all()
    present = {name: rows.tolist() for name, rows in batch["rows"].items()}
    assert present == {
        name: [row for row in range(8) if row != lacking]
        for lacking, name in enumerate(("photo", "voice", "clip", "vector"))
    }
    assert set(splits.train[0]["inputs"]) == {"note", "voice", "clip", "vector", "table"}
    train = np.array([0, 1, 2, 8, 9, 10, 11])  # row s3 has no vector
    units = (8 - train.mean()) / train.std()
    assert batch["inputs"]["vector"][4].tolist() == pytest.approx([units] * 5)
    as_stored = manifest(tmp_path, with_media(tmp_path), standardise=False).load().train
    assert as_stored[[4]]["inputs"]["vector"][0].tolist() == [8.0] * 5
    assert splits.val[0]["inputs"].keys() == {
        "photo",
        "voice",
        "clip",
        "vector",
        "table",
    }  # row s4 has no note
    assert splits.val[[0, 1]]["label"].tolist() == [0, 1]


def test_training_statistics_are_those_of_the_training_part(tmp_path: Path) -> None:
    rows = notes(40)
    splits = manifest(tmp_path, rows).load()
    train = np.array([float(row["age"]) for row in rows if row["split"] == "train"])
    test = np.array([float(row["age"]) for row in rows if row["split"] == "test"])
    expected = (test - train.mean()) / train.std()
    np.testing.assert_allclose(splits.test[:]["inputs"]["table"][:, 0], expected, rtol=1e-5)


def test_labels_may_be_classes_several_or_numbers(tmp_path: Path) -> None:
    rows = notes()
    assert manifest(tmp_path, rows).target == Classes(("cat", "dog"))
    several = [{**row, "label": "wet" if n % 2 else "wet | cold"} for n, row in enumerate(rows)]
    data = manifest(tmp_path, several)
    assert data.target == Labels(("cold", "wet"))
    assert data.load().val[:]["label"].tolist() == [[1, 1], [0, 1]]
    data = manifest(
        tmp_path, [{**row, "label": str(n / 2)} for n, row in enumerate(rows)], label="label"
    )
    train = np.array([n / 2 for n in (0, 1, 2, 3, 8, 9, 10, 11)])
    assert data.target == Number("label", pytest.approx(train.mean()), pytest.approx(train.std()))
    assert data.load().val[:]["label"].tolist() == [2, 2.5]
    assert (
        manifest(
            tmp_path, rows, label="age", types={"label": "ignore"}, task="number"
        ).target.outputs
        == 1
    )


def test_what_is_stated_prevails_over_what_is_guessed(tmp_path: Path) -> None:
    rows = [{**row, "zip": str(n % 2), "height": str(n)} for n, row in enumerate(notes())]
    stated = {
        "types": {"zip": "category", "age": "ignore", "note": "ignore"},
        "tables": {"place": ["zip"]},
    }
    assert manifest(tmp_path, rows, **stated).shapes == {"place": (3,)}
    assert manifest(tmp_path, rows).shapes["table"] == (6,)
    two = manifest(tmp_path, rows, tables={"a": ["age"], "b": ["height", "zip"]})
    assert dict(two.check().facts)["column zip"].endswith("0 empty cells")
    unused = manifest(tmp_path, rows, tables={"a": ["age"]})
    assert dict(unused.check().facts)["column height"].endswith("; in no table")
    assert two.shapes == {"note": Text(128, 4096), "a": (2,), "b": (4,)}


def test_random_splits_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [{**row, "split": "train", "who": f"person {n % 7}"} for n, row in enumerate(notes(60))]
    for extra in ({}, {"group": "who", "label": "age", "types": {"label": "ignore"}}):
        drawn = {"fractions": (0.6, 0.2, 0.2), "seed": 3, **extra}
        first = parts_of(manifest(tmp_path, rows, **drawn))
        assert parts_of(manifest(tmp_path, random.Random(0).sample(rows, 60), **drawn)) == first
        assert set(first.values()) == {"train", "val", "test"}
        if extra:
            assert len({(row["who"], first[row["id"]]) for row in rows}) == 7
        assert parts_of(manifest(tmp_path, rows, **{**drawn, "seed": 4})) != first


def test_without_a_split_column_parts_are_drawn(tmp_path: Path) -> None:
    rows = [{name: cell for name, cell in row.items() if name != "split"} for row in notes(40)]
    assert [len(part) for part in vars(manifest(tmp_path, rows).load()).values()] == [28, 4, 8]


def test_settings_survive_a_configuration_file(tmp_path: Path) -> None:
    data = manifest(
        tmp_path,
        notes(40),
        types={"note": "category"},
        tables={"years": ["age"], "words": ["note"]},
        fractions=(0.5, 0.25, 0.25),
    )
    config = RunConfig(data, Uniform(), LateFusionCNN())
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_the_table_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(tmp_path, notes())
    monkeypatch.chdir(tmp_path)
    data = Manifest("my.csv", root=".")
    monkeypatch.chdir("/")
    assert len(data.load().train) == 8


def test_a_recipe_is_a_value_that_reads_nothing_until_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    data = Manifest(path, label="mood", types={"year": "category"})
    assert data == Manifest(str(path), label="mood", types={"year": "category"})
    assert not path.exists()
    assert set(vars(data)) == {field.name for field in fields(data)}


def test_what_was_read_is_no_part_of_a_pickle(tmp_path: Path) -> None:
    data = manifest(tmp_path, notes(400))
    before = pickle.dumps(data)
    data.load()
    assert data.fingerprint
    assert pickle.dumps(data) == before
    assert len(before) < 1000
    copy = pickle.loads(before)
    assert copy == data
    assert copy.fingerprint == data.fingerprint
    assert copy.contents is not data.contents


def test_samples_with_none_of_the_labels_are_samples(tmp_path: Path) -> None:
    names = ("effusion", "mass", "nodule")
    labels = []
    for number in range(64):
        bits = number + number // 8
        labels.append([name for place, name in enumerate(names) if bits >> place & 1])
    rows = [row | {"label": ";".join(labels[n])} for n, row in enumerate(notes(64))]
    data = manifest(tmp_path, rows, task="labels")
    assert len(data.contents.parts) == 64
    first = data.load().train[0]["label"]
    assert first.tolist() == [0, 0, 0]
    guessed = manifest(tmp_path, rows).contents
    assert len(guessed.parts) == 56
    assert any("state --data.task labels if they are" in p.reason for p in guessed.problems)
    missing = manifest(tmp_path, [rows[0] | {"label": "NA"}, *rows[1:]], task="labels")
    assert len(missing.contents.parts) == 63  # it is not known what it has
    columns = {name: [row[name] for row in rows] for name in ("id", "split", "note")}
    parquet.write_table(pyarrow.table({**columns, "label": labels}), tmp_path / "my.parquet")
    lists = Manifest(tmp_path / "my.parquet").contents
    assert lists.task == ("labels", "lists")
    assert len(lists.parts) == 64


def test_cells_are_read_by_the_column(tmp_path: Path) -> None:
    """The number of calls does not grow with the number of rows, but for labels and names."""
    calls = []
    for count in (300, 3000):
        path = tmp_path / f"{count}.csv"
        source = random.Random(0)
        lines = ["id,label,a,b,c"]
        for number in range(count):
            cells = (source.gauss(0, 1), source.randrange(90), source.choice(["red", "blue"]))
            lines.append(f"s{number},{number % 2},{','.join(map(str, cells))}")
        path.write_text("\n".join(lines))
        calls.append(_calls_of(path))
    assert calls[0] == calls[1]


def _calls_of(path: Path) -> int:
    """How many functions are called to read a table, and to guess, doubt and encode its columns."""
    count = 0

    def counter(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counter)
    try:
        table = read_table(path)
        types = column_types(table, {"id", "label"}, {}, path.parent)
        assert not list(doubtful_columns(table, types, {}, "label", path.parent))
        places = np.arange(len(table.rows))
        features, columns = [], []
        for name, column in types.items():
            columns.append(cells_of(table, name, column.kind, places))
            features.append(FEATURES[column.kind].fit(columns[-1]))
        table_tensor(features, columns)
    finally:
        sys.setprofile(None)
    return count
