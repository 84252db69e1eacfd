"""A trained model in use: its folder is complete, and rows are never lost nor read otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from served_table import rows, training, write

import mmpareto
from mmpareto.training import PredictedRows, predict
from mmpareto.training._evaluation import load_model
from mmpareto.training._predicted_rows import in_rows
from mmpareto.training.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PredictedRows]:
    """The folder of a training, moved, whose data are gone; and what it predicted with them."""
    folder = tmp_path_factory.mktemp("trained")
    config = training(write(folder / "data", rows()))
    run(config, folder / "first", progress=False)
    model = load_model(config, folder / "first" / "best.ckpt")
    predictions = predict(model, config.data.load().test, config)
    shutil.rmtree(folder / "data")
    (folder / "first").rename(folder / "moved")
    return folder / "moved", in_rows(predictions, config.data.target)


def test_predictions_are_those_of_the_training_after_its_data_are_gone(
    trained: tuple[Path, PredictedRows], tmp_path: Path
) -> None:
    run_folder, before = trained
    tested = [row for row in rows() if row["split"] == "test"]
    new = [{k: v for k, v in row.items() if k not in ("label", "split")} for row in tested]
    table = write(tmp_path, new, "new.csv")
    after = mmpareto.load(run_folder).predict(table)
    assert list(after.ids) == list(before.ids) == [row["id"] for row in tested]
    assert after.labels == before.labels
    assert after.missing == before.missing
    assert not any(after.problems)
    for name, values in before.expected.items():
        torch.testing.assert_close(after.expected[name], values.double(), equal_nan=True)
    by_python = mmpareto.load(str(run_folder)).predict(new, root=tmp_path)
    assert by_python.labels == after.labels
    for name, values in after.expected.items():
        assert torch.equal(by_python.expected[name].nan_to_num(-1), values.nan_to_num(-1))
