"""Columns named like paths, markup, escape sequences and formulas, through a whole comparison."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mmpareto import recipes
from mmpareto._storage._names import file_name
from mmpareto.compare import compare, print_table, write_report
from mmpareto.compare._results import modalities, read_results
from mmpareto.data import Manifest
from mmpareto.models import LateFusionCNN


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with the comparison in ``out``, and the names of the modalities."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [f"{folder}/ELSEWHERE/alpha", '=HYPERLINK("http://evil","see")', "[/x]\x1b]0;taken\x07"]
    dice = random.Random(0)
    parts = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
    with (folder / "my.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "split", *names])
        for k in range(60):
            label = "abc"[k % 3]
            texts = [f"words {label * 3} and {dice.random()}" for _ in names]
            writer.writerow([f"s{k}", label, parts[k % 10], *texts])
    data = Manifest(folder / "my.csv")
    model = LateFusionCNN(width=2)
    base = replace(recipes.cg_digits(), data=data, model=model, epochs=1, batch_size=8)
    methods = ["uniform", "ensemble"]
    failures = compare(base, methods, 1, folder / "out", jobs=1, listener=lambda *_: None)
    assert failures == []
    return folder, names


def test_nothing_is_written_elsewhere(comparison: tuple[Path, list[str]]) -> None:
    folder, names = comparison
    assert {path.name for path in folder.iterdir()} == {"my.csv", "out"}
    below = (folder / "out" / "runs" / "ensemble-seed0").iterdir()
    runs = {path.name for path in below if path.is_dir()} - {"logs"}
    assert runs == {file_name(name) for name in names}


def test_names_come_back_and_no_cell_is_a_formula(comparison: tuple[Path, list[str]]) -> None:
    folder, names = comparison
    assert set(modalities(read_results(folder / "out" / "results.csv"))) == set(names)
    for path in (folder / "out").rglob("*.csv"):
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))], path


def test_nothing_shown_is_markup_or_steers_a_terminal(
    comparison: tuple[Path, list[str]],
) -> None:
    folder, names = comparison
    console = Console(file=io.StringIO(), width=400)
    print_table(folder / "out", console)
    report = write_report(folder / "out").read_text()
    for shown in (console.file.getvalue(), report):
        assert all(line.isprintable() for line in shown.split("\n"))
        assert "[/x]\\x1b]0;taken\\x07" in shown
    assert names[0] in console.file.getvalue()
