"""docs/own_data.md: from a table written by hand to a report, by the page's own commands."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from manifests import plain
from media import tone, write_audio, write_image

from mmpareto.data.tables._columns import TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "own_data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    assert all(line.startswith("$ mmpareto ") for line in lines)
    return [shlex.split(line)[2:] for line in lines]


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, and those that they name."""
    folder = tmp_path_factory.mktemp("pets")
    (table,), (settings,) = blocks("csv"), blocks("yaml")
    (folder / "pets.csv").write_text(table, encoding="utf-8")
    (folder / "pets.yaml").write_text(settings, encoding="utf-8")
    for number, row in enumerate(csv.DictReader(table.splitlines())):
        dog = row["label"] == "dog"
        if row["photo"]:
            write_image(folder / row["photo"], plain(100 * dog + number))
        if row["voice"]:
            write_audio(folder / row["voice"], tone(frequency=800 + 10 * number - 500 * dog))
    return folder


def test_every_type_is_explained() -> None:
    assert all(f"`{kind}`" in PAGE for kind in TYPES)


def run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MMPARETO_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "mmpareto", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_three_commands_lead_from_a_table_to_a_report(pets: Path) -> None:
    first, second, third = commands(blocks("console")[0])
    checked = run(pets, first)
    assert checked.returncode == 0, checked.stderr
    for fact in (
        "column coat",
        "category (3 short values in 15 cells); 1 empty cells",
        "train 4, val 2, test 2",
    ):
        assert fact in checked.stdout
    prepared = run(pets, second)
    assert prepared.returncode == 0, prepared.stderr
    compared = run(pets, third)
    assert compared.returncode == 0, compared.stderr + compared.stdout
    report = (pets / "runs" / "pets" / "report.html").read_text()
    assert all(name in report for name in ("photo", "voice", "note", "table", "mmpareto"))
    assert "left out" not in compared.stderr


def test_the_model_serves_new_rows(pets: Path) -> None:
    (new,), (code,) = blocks("text"), blocks("python")
    (pets / "new_pets.csv").write_text(new, encoding="utf-8")
    train, predict, export = commands(blocks("console")[1])
    trained = run(pets, train)
    assert trained.returncode == 0, trained.stderr
    predicted = run(pets, predict)
    assert predicted.returncode == 1, predicted.stderr
    with (pets / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["n1", "n2", "n3", "n4"]
    assert [row["missing"] for row in rows] == [
        "",
        "photo; voice",
        "photo; voice; note; table",
        "photo",
    ]
    assert [row["problems"] for row in rows] == [
        "",
        "column `age`: 'old' is no number",
        "column `photo`: no file photos/n3.png",
        "",
    ]
    assert [row["prediction"] in ("cat", "dog") for row in rows] == [True, True, False, True]
    pytest.importorskip("onnxruntime")
    exported = run(pets, export)
    assert exported.returncode == 0, exported.stderr
    assert (pets / "MODEL_CARD.md").exists()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=pets, capture_output=True, text=True, check=True
    )
    assert "[['photo', 'voice'], ['photo', 'note', 'table']]" in done.stdout


def test_types_and_tables_are_taken_from_a_file(pets: Path) -> None:
    (command,) = commands(blocks("console")[2])
    checked = run(pets, command)
    assert checked.returncode == 0, checked.stderr
    for fact in (
        r"column note +ignore \(stated\)",
        r"column age +category \(stated\)",
        r"facts +\(8,\)",
        r"looks +\(4,\)",
    ):
        assert re.search(fact, checked.stdout), fact


def test_what_cannot_be_trained_on_ends_with_two(pets: Path) -> None:
    (pets / "broken.csv").write_text(
        "id,label,split,note\na,cat,train,one\nb,cat,val,two\nb,dog,test,three\n"
    )
    checked = run(pets, ["data", "check", "broken.csv"])
    assert checked.returncode == 2
    assert "broken.csv, row 4: has the id 'b' of row 3" in checked.stdout
    assert "no sample is left for test" in checked.stdout
