"""New rows are read as the training read its table, by what was stored of it and nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from manifests import manifest, notes, with_media
from media import write_audio, write_image
from pyarrow import parquet
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mmpareto.data import Manifest
from mmpareto.data.tables._new_rows import NewRows
from mmpareto.data.tables._reader import Reader, _by_value
from mmpareto.errors import MMParetoError
from mmpareto.training import describe
from mmpareto.training._interface import _in_json
from mmpareto.training._schema import restore_fields


def stored(data: Manifest) -> tuple[Reader, Any]:
    """How new rows are read, by way of a file's text; and the test part."""
    splits = data.load()
    text = json.dumps(_in_json(describe(data.reader(splits.train, data.shapes), paths=False)))
    assert str(Path(str(data.path)).parent) not in text
    reader: Reader = restore_fields(Reader, json.loads(text, parse_constant=pytest.fail), "here")
    assert reader.shapes == data.shapes
    return reader, splits.test


def check_equal(new: NewRows, test: Any) -> None:
    """New rows, of which the test part are some, are read bit by bit as these."""
    batch = new.batch(range(len(new)))
    for number, name in enumerate(test.ids):
        place = new.names.index(name)
        for modality in test.columns:
            rows = batch.get("rows", {}).get(modality, torch.arange(len(new))).tolist()
            sample = test[number]["inputs"].get(modality)
            assert (place in rows) == (sample is not None)
            if sample is not None:
                assert torch.equal(batch["inputs"][modality][place], sample), (modality, name)


def write(path: Path, rows: Sequence[Mapping[str, Any]], **settings: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **settings)
        writer.writeheader()
        writer.writerows(rows)
    return path


def without_labels(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("label", "split")} for row in rows]


def test_every_type_is_read_as_in_the_training(tmp_path: Path) -> None:
    rows = with_media(tmp_path)
    for number, row in enumerate(rows):
        deep = np.arange(600, dtype=np.uint16).reshape(30, 20) * (number + 1) % 4096
        row["scan"] = f"scan/{number}.png"
        write_image(tmp_path / row["scan"], deep, mode="I;16")
        row["colour"] = ("1", "2")[number // 2 % 2]
        row["price"] = f"{number}.500,{number % 10}0 €"
    write_audio(tmp_path / rows[6]["voice"], np.zeros(4000), 8000)
    types = {"colour": "category", "price": "number"}
    reader, test = stored(manifest(tmp_path, rows, types=types))
    assert reader.written == {"price": True}
    turned = write(tmp_path / "new.csv", without_labels(rows)[::-1])
    for new in (reader.read(turned), reader.read(without_labels(rows), tmp_path)):
        check_equal(new, test)
        said = [reason for reasons in new.problems for reason in reasons]
        assert said == ["column `voice`: voice/6.wav is silent"]


def test_lists_and_texts_of_a_tokenizer_need_no_other_files(tmp_path: Path) -> None:
    vocabulary = {"[UNK]": 0, "words": 1, "number": 2, "3": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    rows = notes(16)
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["vector"] = [[float(n), 2.0 * n, 1e9] if n % 5 else None for n in range(16)]
    parquet.write_table(pyarrow.table(columns), tmp_path / "my.parquet")
    reader, test = stored(Manifest(tmp_path / "my.parquet", tokenizer=str(folder)))
    for file in folder.iterdir():
        file.unlink()
    check_equal(reader.read(tmp_path / "my.parquet"), test)
    by_python = [
        {name: np.array(cell) if name == "vector" and cell else cell for name, cell in row.items()}
        for row in pyarrow.table(columns).to_pylist()
    ]
    check_equal(reader.read(by_python), test)
    with pytest.raises(MMParetoError, match=r"column `vector`, should hold .* lists of numbers"):
        reader.read([{"vector": "many"}])
    with pytest.raises(MMParetoError, match=r"column `note`, should hold .* Found lists"):
        reader.read([{"note": [1.0, 2.0]}])


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    rows = notes(16)
    for number, row in enumerate(rows):
        row |= {"grade": ("1", "2")[number % 2], "price": "1,500", "photo": f"photo/{number}.png"}
        write_image(tmp_path / row["photo"])
    types = {"grade": "category", "price": "number"}
    return stored(manifest(tmp_path, rows, types=types))[0]


def numbers(new: NewRows) -> list[list[float]]:
    values: list[list[float]] = new.batch(range(len(new)))["inputs"]["table"].tolist()
    return values


def test_a_row_is_read_alike_whatever_stands_beside_it(reader: Reader) -> None:
    rows = [{"age": "3", "grade": "2", "price": "1,500"}, {"age": "4", "grade": "1"}]
    beside = [{"age": "old", "grade": "1.5", "price": "3,5"}, {"age": "0.5", "grade": "x"}]
    alone = [numbers(reader.read(row))[0] for row in rows]
    assert numbers(reader.read([*rows, *beside]))[:2] == alone
    for grade in (2, 2.0, "2", "2.0", " 2 "):
        assert numbers(reader.read({"age": 3, "grade": grade, "price": 1500.0}))[0] == alone[0]
    assert numbers(reader.read({"age": 3, "grade": "3", "price": 1500}))[0] != alone[0]


def test_what_cannot_be_used_is_named_and_its_row_stays(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "photo" / "broken.png").write_bytes(b"no picture")
    rows = [
        {"id": "a", "age": "3", "note": "good", "photo": "photo/1.png"},
        {"id": "b", "age": "old", "note": "good", "photo": "photo/none.png"},
        {"id": "c", "age": "3", "note": "", "photo": "photo/broken.png"},
        {"id": "d", "age": "", "note": "", "photo": "../../etc/passwd"},
        {"id": "a", "age": "", "note": "", "photo": ""},
        {"id": "", "age": "3,5", "note": "x", "photo": "photo/1.png"},
    ]
    path = write(tmp_path / "new.csv", rows)
    with path.open("a", newline="") as file:
        file.write("e,3\r\n\r\n,,,\r\nf,3,words,photo/1.png\r\n\r\n")
    with pytest.warns(UserWarning, match="has no column grade, price: what"):
        new = reader.read(path)
    batch = new.batch(range(len(new)))
    assert new.names == ["a", "b", "c", "d", "a", "", "", "", "f"]
    assert [len(reasons) for reasons in new.problems] == [0, 2, 1, 1, 0, 1, 1, 1, 0]
    assert "no file photo/none.png" in " ".join(new.problems[1])
    assert "'old' is no number" in " ".join(new.problems[1])
    assert new.problems[2] == ["column `photo`: photo/broken.png is no image of a known format"]
    assert "Files should be in" in new.problems[3][0]
    assert new.problems[6] == ["row 8 has 2 cells where the header has 4"]
    assert new.problems[7] == ["row 10 has no modality: all its cells are empty"]
    present = {name: rows.tolist() for name, rows in batch["rows"].items()}
    assert present == {"photo": [0, 5, 8], "note": [0, 1, 5, 8], "table": [0, 2, 8]}


def test_rows_in_pieces_are_those_of_all_at_once(reader: Reader, tmp_path: Path) -> None:
    rows = [{"age": n, "photo": f"photo/{n}.png" if n % 3 else None} for n in range(7)]
    whole = reader.read(rows, tmp_path).batch(range(7))
    pieces = reader.read(rows, tmp_path)
    parts = [pieces.batch(range(start, min(start + 2, 7))) for start in range(0, 7, 2)]
    assert torch.equal(
        torch.cat([part["inputs"]["table"] for part in parts]), whole["inputs"]["table"]
    )
    assert [name for part in parts for name in part["id"]] == whole["id"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a cell at least"),
        ([{}], "a cell at least"),
        ([3], "mappings .* Found int as row 1"),
        ([{"age": 3}, {"age": b"3"}], "row 2 bytes"),
        ([{"weight": 3}], "should have columns that the model was trained on: .*age.*weight"),
        ("none.csv", "Found no file none.csv"),
    ],
)
def test_what_are_no_rows_is_said(reader: Reader, rows: Any, message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        reader.read(rows)


def test_categories_with_one_number_are_codes() -> None:
    cells = pyarrow.array(["1.0", "1", "01", "001", None])
    assert _by_value(cells, ("1", "01", "2")).to_pylist() == ["1.0", "1", "01", "001", None]
    assert _by_value(cells, ("1", "2")).to_pylist() == ["1", "1", "1", "1", None]
