"""A training that leaves the finite numbers fails, by name and step; it has no score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmpareto import recipes
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import SGD, Predictions, RunConfig, load_run, predict
from mmpareto.training._mean_losses import MeanLosses
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run

CONFIG: RunConfig = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=2)


def test_a_training_that_diverges_fails_and_so_does_its_repetition(tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=SGD(lr=1e20))
    messages = []
    for _ in range(2):
        with pytest.raises(MMParetoError, match=r"finite losses.* first in step \d+, of epoch 0"):
            run(config, tmp_path / "out", progress=False)
        messages.append(sorted(path.name for path in (tmp_path / "out").glob("*.*")))
    assert messages[0] == messages[1] == ["config.yaml", "data_fingerprint.txt"]


def test_the_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = BalancedModule.training_step

    def poisoned(self: BalancedModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 25:  # the seventh of the second epoch
            batch["inputs"]["gray"] = batch["inputs"]["gray"] * float("nan")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BalancedModule, "training_step", poisoned)
    with pytest.raises(MMParetoError, match="first in step 25, of epoch 1"):
        run(CONFIG, tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_predictions_that_are_not_finite_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(replace(CONFIG, epochs=1), tmp_path / "out", progress=False)
    config, model = load_run(tmp_path / "out")
    with torch.no_grad():
        next(model.encoders["gray"].parameters()).fill_(float("nan"))
    data = config.data.load()
    with pytest.raises(MMParetoError, match=r"finite. Found those of 'joint' .* for 180 of 180"):
        predict(model, data.val, config)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_prediction_is_enough(value: float) -> None:
    rows, label = {"joint": torch.arange(3)}, torch.zeros(3)
    values = torch.zeros(3, 2)
    Predictions({"joint": values}, rows, label).check_finite("here")
    values[1, 1] = value
    with pytest.raises(MMParetoError, match=r"Predictions here .* 1 of 3 samples"):
        Predictions({"joint": values}, rows, label).check_finite("here")


def test_the_first_batch_is_found() -> None:
    losses, clean = (MeanLosses(["a"], torch.device("cpu")) for _ in range(2))
    batch = {"rows": {}, "label": torch.zeros(4)}
    for value in (1.0, 2.0, float("inf"), float("nan"), 3.0):
        losses.add({"joint": torch.tensor(value), "a": torch.tensor(1.0)}, batch)
    losses.add({}, batch)
    assert losses.first_not_finite() == 2
    clean.add({"joint": torch.tensor(1.0)}, batch)
    assert clean.first_not_finite() == 1
