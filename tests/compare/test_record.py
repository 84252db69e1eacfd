"""Comparisons of different methods in one folder add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compare.synthetic import write_comparison
from mmpareto import recipes
from mmpareto.compare import Cell, compare
from mmpareto.compare._comparison import Failure, read_failures
from mmpareto.compare._record import Record, open_record
from mmpareto.compare._results import read_results
from mmpareto.errors import MMParetoError
from mmpareto.training import Predictions

BASE = recipes.cg_digits()
METRICS = {"test": {"joint_accuracy": 0.5}}


def test_results_and_failures_of_other_methods_stay(tmp_path: Path) -> None:
    first = Record(BASE, tmp_path, [Cell("uniform", 0), Cell("mgda", 0)], [], [])
    first.write_description([])
    first.done[Cell("uniform", 0)] = METRICS
    first.failures.append(Failure("mgda", 0, "it diverged at step 12"))
    first.write_results()

    second = open_record(BASE, [Cell("mmpareto", 0)], tmp_path)
    second.done[Cell("mmpareto", 0)] = METRICS
    second.write_results()
    assert {result.method for result in read_results(tmp_path / "results.csv")} == {
        "uniform",
        "mmpareto",
    }
    assert read_failures(tmp_path / "failures.json") == first.failures

    third = open_record(BASE, [Cell("mgda", 0)], tmp_path)
    third.done[Cell("mgda", 0)] = METRICS
    third.write_results()
    assert len(read_results(tmp_path / "results.csv")) == 3
    assert read_failures(tmp_path / "failures.json") == []


@pytest.mark.parametrize("content", ["", 'methods: "uni', "- 1", "a: [", b"\xff\xfe\x80"])
def test_a_damaged_description_is_one_line(tmp_path: Path, content: str | bytes) -> None:
    write_comparison(tmp_path)
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "config.yaml").write_bytes(data)
    with pytest.raises(MMParetoError, match=r"config\.yaml should") as raised:
        compare(BASE, ["uniform"], 1, tmp_path, jobs=1, listener=lambda *_: None)
    assert "\n" not in str(raised.value)


def test_a_method_in_a_file_leads_to_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "geometry.csv").write_text("not a table")
    out = tmp_path / "out"
    (out / "runs").mkdir(parents=True)
    record = Record(BASE, out, [Cell("../..", 0)], [], [])
    assert record.folder(Cell("../..", 0)).parent == out / "runs"


def test_predictions_that_are_not_finite_are_no_score() -> None:
    rows = {"joint": torch.arange(2)}
    for value in (torch.nan, torch.inf):
        values = torch.tensor([[0.0, 1.0], [value, 0.0]])
        predictions = Predictions({"joint": values}, rows, torch.zeros(2))
        with pytest.raises(MMParetoError, match="of 'joint' not to be for 1 of 2"):
            predictions.check_finite("of the network of 'gray'")
    replace(predictions, values={"joint": torch.zeros(2, 2)}).check_finite("of the network")
