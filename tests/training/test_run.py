"""One training: repeatable to the bit, resumable, and its folder safe."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmpareto import recipes
from mmpareto.balancing import Joint, MMPareto, ScaledUniform, Uniform
from mmpareto.data import CGMNIST, CGDigits
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.specs import Classes
from mmpareto.training import (
    SGD,
    GeometrySettings,
    Predictions,
    RunConfig,
    check_same,
    evaluate,
    load_config,
    load_run,
    magnitudes,
    save_config,
)
from mmpareto.training._epoch_batches import EpochBatches
from mmpareto.training.run import run

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=3)

KILLED = """
import os, signal, sys
from pathlib import Path
from mmpareto.training import load_config
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run

step = BalancedModule.training_step

def training_step(self, batch, batch_idx):
    if self.global_step == 45:  # in the third epoch of 19 steps
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

BalancedModule.training_step = training_step
run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
"""


OWN = """
from dataclasses import dataclass
from mmpareto import Uniform

@dataclass(frozen=True)
class Mine(Uniform):
    name = "mine"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    run(CONFIG, out, progress=False)
    return out


def test_two_trainings_with_one_seed_give_identical_files(finished: Path, tmp_path: Path) -> None:
    run(CONFIG, tmp_path, progress=False)
    for name in ("best.ckpt", "geometry.csv", "config.yaml"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name
    ours, theirs = (
        json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, finished)
    )
    assert (ours["val"], ours["test"]) == (theirs["val"], theirs["test"])


def test_another_seed_gives_another_model(finished: Path, tmp_path: Path) -> None:
    run(replace(CONFIG, seed=1), tmp_path, progress=False)
    assert (tmp_path / "best.ckpt").read_bytes() != (finished / "best.ckpt").read_bytes()


def test_a_killed_training_continues_to_the_same_result(finished: Path, tmp_path: Path) -> None:
    save_config(CONFIG, tmp_path / "given.yaml")
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "given.yaml", out], check=False
    )
    assert killed.returncode == -9
    assert (out / "last.ckpt").exists()
    assert not (out / "metrics.json").exists()
    run(CONFIG, out, progress=False)
    for name in ("best.ckpt", "geometry.csv"):
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name
    assert not (out / "last.ckpt").exists()


def test_a_finished_training_is_not_repeated(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    metrics = run(CONFIG, finished, progress=False)
    assert metrics == json.loads((finished / "metrics.json").read_text())
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_another_trainings_folder_is_refused_and_unharmed(finished: Path) -> None:
    with pytest.raises(
        MMParetoError,
        match=r"`out` should be a new folder.*epochs 3 there, 4 now.*seed 0 there, 5 now",
    ):
        run(replace(CONFIG, epochs=4, seed=5), finished, progress=False)
    assert load_config(finished / "config.yaml") == CONFIG


def test_stored_numbers_are_those_of_the_checkpoint(finished: Path) -> None:
    config, model = load_run(finished)
    stored = json.loads((finished / "metrics.json").read_text())
    data = config.data
    assert evaluate(model, data.load(), config) == {
        split: stored[split] for split in ("val", "test")
    }
    assert set(stored["train"]) == {"conflict_rate/gray", "conflict_rate/colour", "seconds"}


def test_the_checkpoint_is_that_of_the_best_validation_epoch(finished: Path) -> None:
    rows = (finished / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/joint_accuracy")
    seen = [float(value) for row in rows[1:] if (value := row.split(",")[column])]
    stored = json.loads((finished / "metrics.json").read_text())["val"]["joint_accuracy"]
    assert len(seen) == CONFIG.epochs
    assert stored == pytest.approx(max(seen), abs=1e-6)
    saved = torch.load(finished / "best.ckpt", weights_only=True)
    assert seen[saved["epoch"]] == max(seen)


def test_training_improves_on_chance_by_far(finished: Path) -> None:
    stored = json.loads((finished / "metrics.json").read_text())["test"]
    assert stored["gray_accuracy"] > 0.5


def test_geometry_is_recorded_in_each_step_if_needed_and_now_and_then_otherwise(
    finished: Path, tmp_path: Path
) -> None:
    run(replace(CONFIG, method=Uniform(), epochs=1), tmp_path, progress=False)
    steps = {
        int(row.split(",")[0]) for row in (tmp_path / "geometry.csv").read_text().splitlines()[1:]
    }
    assert steps == {0, 10}
    steps = {
        int(row.split(",")[0]) for row in (finished / "geometry.csv").read_text().splitlines()[1:]
    }
    assert steps == set(range(3 * 19))


def test_one_modality_alone_is_trained_without_the_other(tmp_path: Path) -> None:
    run(replace(CONFIG, method=Joint(), modalities=("gray",), epochs=1), tmp_path, progress=False)
    _, model = load_run(tmp_path)
    assert list(model.encoders) == ["gray"]


def test_magnitudes_are_measured_at_a_fixed_model(finished: Path) -> None:
    rows, again = magnitudes(finished), magnitudes(finished)
    assert rows == again
    assert len(rows) == 2 * 19
    assert all(row.norm_joint > 0 and row.norm_unimodal > 0 for row in rows)


@pytest.mark.parametrize("damage", ["truncated", "pickle", "missing"])
def test_a_damaged_checkpoint_is_named(finished: Path, tmp_path: Path, damage: str) -> None:
    save_config(CONFIG, tmp_path / "config.yaml")
    if damage == "truncated":
        (tmp_path / "best.ckpt").write_bytes((finished / "best.ckpt").read_bytes()[:1000])
    elif damage == "pickle":
        torch.save({"state_dict": {}, "payload": Path("x")}, tmp_path / "best.ckpt")
    with pytest.raises(MMParetoError, match=str(tmp_path / "best.ckpt")):
        load_run(tmp_path)


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = RunConfig(
        CGDigits(variance=0.02),
        ScaledUniform(2.5),
        LateFusionCNN(3),
        SGD(0.1, 0.0, 0.0),
        7,
        8,
        9,
        ("gray",),
        3,
    )
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_a_path_is_the_same_however_it_is_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    as_text, as_path = (
        replace(CONFIG, data=CGMNIST(root)) for root in ("mnist.npz", tmp_path / "mnist.npz")
    )
    save_config(as_text, tmp_path / "config.yaml")
    check_same(as_path, tmp_path)
    with pytest.raises(MMParetoError, match=r"another \(data .*none\.npz"):
        check_same(replace(CONFIG, data=CGMNIST("none.npz")), tmp_path)


def test_own_classes_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "_methods.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("own._methods").Mine()
    save_config(replace(CONFIG, method=mine), tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml").method == mine


def test_what_cannot_start_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MMParetoError, match="`batch_size` should be at most"):
        run(replace(CONFIG, batch_size=5000), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint_of_an_interruption_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"garbage")
    with pytest.raises(MMParetoError, match=r"last\.ckpt should be .* Delete it to start again"):
        run(CONFIG, tmp_path, progress=False)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"train": {}, "val": {}, "test": {"joint_accuracy": "high"}}']
)
def test_damaged_metrics_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(MMParetoError, match=r"metrics\.json should hold .* Delete it to repeat"):
        run(CONFIG, tmp_path, progress=False)


def test_the_number_of_threads_is_the_configurations_own(finished: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        run(CONFIG, tmp_path, progress=False)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert (tmp_path / "best.ckpt").read_bytes() == (finished / "best.ckpt").read_bytes()


@pytest.mark.parametrize("text", ["method: [", "epochs: many", "surprise: 1", "- 1"])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(MMParetoError, match=str(tmp_path / "config.yaml")):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "`epochs` should be at least 1. Found 0"),
        ({"batch_size": 1}, "`batch_size` should be at least 2. Found 1"),
        ({"seed": -1}, "`seed` should be at least 0. Found -1"),
        ({"seed": 2**32}, r"`seed` should be less than 2\*\*32. Found 4294967296"),
        (
            {"modalities": ("text",)},
            r"`modalities` should be some of \('gray', 'colour'\). Found \('text',\)",
        ),
        ({"devices": 0}, "`devices` should be at least 1. Found 0"),
        ({"num_nodes": 0}, "`num_nodes` should be at least 1. Found 0"),
        ({"strategy": "tp"}, "`strategy` should be auto, ddp or fsdp. Found 'tp'"),
        (
            {"batch_size": 65, "devices": 2},
            r"`batch_size` should be a multiple .* = 2, and at least 2 .* Found 65",
        ),
        ({"batch_size": 6, "devices": 2, "num_nodes": 3}, "= 6, and at least 2 for each. Found 6"),
        ({"modalities": ()}, r"`modalities` should be some of .* Found \(\)"),
    ],
)
def test_a_senseless_configuration_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        replace(CONFIG, **change).check_data()
    with pytest.raises(MMParetoError, match=r"`every` should be a whole number, .* Found 0"):
        GeometrySettings(every=0)
    with pytest.raises(
        MMParetoError, match=r"`optimizer.lr` should be finite and not negative. Found nan"
    ):
        SGD(lr=float("nan"))


def test_batches_cover_an_epoch_once_and_differ_between_epochs_and_seeds() -> None:
    orders = set()
    for seed in range(3):
        batches = EpochBatches(size=10, batch_size=3, seed=seed)
        for epoch in range(3):
            batches.set_epoch(epoch)
            indices = [index for batch in batches for index in batch]
            assert len(set(indices)) == len(indices) == 9
            orders.add(tuple(indices))
    assert len(orders) == 9
    with pytest.raises(
        MMParetoError,
        match=r"`batch_size` should be at most the size of the training part, 10\. Found 11",
    ):
        EpochBatches(size=10, batch_size=11, seed=0)


def test_accuracy_counts_correct_predictions() -> None:
    logits, rows = torch.eye(4)[[0, 1, 2, 2]], torch.arange(4)
    found = Predictions({"joint": logits}, {"joint": rows}, torch.tensor([0, 1, 2, 3]))
    assert found.scores(Classes(("a", "b", "c", "d"))) == {"joint_accuracy": 0.75}
    assert MMPareto() == CONFIG.method
