"""The grid: real processes, a cell that fails, a grid that is run again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from mmpareto import recipes
from mmpareto.balancing import Joint
from mmpareto.compare import Cell, compare
from mmpareto.compare._launch import launch
from mmpareto.compare._results import read_results, values
from mmpareto.data import CGMNIST
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import load_config, load_run, predict, stored_metrics

BASE = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=1)
METHODS = ["uniform", "mmpareto", "ensemble"]


def square(number: int) -> int:
    return number**2


def fail_or_die(number: int) -> int:
    if number == 1:
        raise ValueError("one")
    if number == 2:
        os._exit(3)
    return os.getpid()


def test_tasks_end_with_their_results() -> None:
    assert {
        number: future.result() for number, future in launch(square, [(3,), (4,), (5,)], jobs=2)
    } == {
        0: 9,
        1: 16,
        2: 25,
    }


def test_a_task_that_fails_or_dies_takes_no_other_along() -> None:
    ended = dict(launch(fail_or_die, [(n,) for n in range(5)], jobs=1))
    assert isinstance(ended[1].exception(), ValueError)
    assert isinstance(ended[2].exception(), MMParetoError)
    assert "The process died" in str(ended[2].exception())
    # One process serves task after task; only death makes another necessary.
    assert ended[3].result() == ended[4].result() != ended[0].result() != os.getpid()


KILLED = """
import fcntl, pathlib, signal, sys, os
from mmpareto.compare._launch import launch

def hold(path, parent, number):
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.kill(parent, number)
        signal.pause()

if __name__ == "__main__":
    list(launch(hold, [(sys.argv[1], os.getpid(), int(sys.argv[2]))], jobs=1))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_when_the_program_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "killed.py", tmp_path / "lock", str(int(number))]
    ended = subprocess.run(command, check=False, capture_output=True)
    assert ended.returncode == -number
    # Never gets the lock, and fails at the limit, if the worker that holds it lives on.
    take = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
    subprocess.run([sys.executable, "-c", take, tmp_path / "lock"], check=True, timeout=60)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Cell, str]]]:
    """A grid of which one cell fails: what looks like its interrupted training is garbage."""
    out, told = tmp_path_factory.mktemp("grid"), []
    broken = out / "runs" / "uniform-seed1"
    broken.mkdir(parents=True)
    (broken / "last.ckpt").write_bytes(b"garbage")
    failures = compare(
        BASE, METHODS, 2, out, jobs=2, listener=lambda cell, outcome: told.append((cell, outcome))
    )
    assert [(failure.method, failure.seed) for failure in failures] == [("uniform", 1)]
    return out, told


def test_one_failed_cell_leaves_the_others_results(
    grid: tuple[Path, list[tuple[Cell, str]]],
) -> None:
    out, told = grid
    assert len(told) == 6
    assert [cell for cell, outcome in told if outcome != "done"] == [Cell("uniform", 1)]
    results = read_results(out / "results.csv")
    assert set(values(results, "uniform", "joint_accuracy")) == {0}
    assert set(values(results, "mmpareto", "gray_accuracy")) == {0, 1}
    assert set(values(results, "mmpareto", "conflict_rate/colour", "train")) == {0, 1}
    assert set(values(results, "ensemble", "seconds", "train")) == {0, 1}
    failures = json.loads((out / "failures.json").read_text())
    assert [(failure["method"], failure["seed"]) for failure in failures] == [("uniform", 1)]


def test_results_are_those_of_the_runs(grid: tuple[Path, list[tuple[Cell, str]]]) -> None:
    out, _ = grid
    for result in read_results(out / "results.csv"):
        stored = stored_metrics(out / "runs" / f"{result.method}-seed{result.seed}")
        assert stored is not None
        assert result.value == stored[result.split][result.metric]


def test_the_ensemble_averages_probabilities_of_modalities_trained_alone(
    grid: tuple[Path, list[tuple[Cell, str]]],
) -> None:
    folder, total = grid[0] / "runs" / "ensemble-seed0", torch.zeros(())
    test = BASE.data.load().test
    stored = stored_metrics(folder)
    assert stored is not None
    for modality in ("gray", "colour"):
        config, model = load_run(folder / modality)
        assert config == replace(BASE, method=Joint(), modalities=(modality,))
        predictions = predict(model, test, config)
        probabilities = torch.softmax(predictions.values["joint"], 1)
        correct = (probabilities.argmax(1) == test[:]["label"]).sum().item()
        assert stored["test"][f"{modality}_accuracy"] == correct / len(test)
        total = total + probabilities
    correct = (total.argmax(1) == test[:]["label"]).sum().item()
    assert stored["test"]["joint_accuracy"] == correct / len(test)


def test_a_second_time_only_what_failed_is_done(grid: tuple[Path, list[tuple[Cell, str]]]) -> None:
    out, told = grid[0], []
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("best.ckpt")}
    (out / "runs" / "uniform-seed1" / "last.ckpt").unlink()
    failures = compare(
        BASE, METHODS, 2, out, jobs=1, listener=lambda cell, outcome: told.append((cell, outcome))
    )
    assert failures == []
    assert [cell for cell, outcome in told if outcome == "done"] == [Cell("uniform", 1)]
    assert [outcome for _, outcome in told].count("done before") == 5
    assert set(values(read_results(out / "results.csv"), "uniform", "joint_accuracy")) == {0, 1}
    assert json.loads((out / "failures.json").read_text()) == []
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_methods_and_seeds_can_be_added(
    grid: tuple[Path, list[tuple[Cell, str]]], tmp_path: Path
) -> None:
    shutil.copytree(grid[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "environment.json").read_bytes()
    assert compare(BASE, ["mmpareto"], 1, tmp_path, jobs=1, listener=lambda *_: None) == []
    assert (tmp_path / "environment.json").read_bytes() == before  # nothing was trained
    compare(BASE, ["mgda"], 1, tmp_path, jobs=1, listener=lambda *_: None)
    assert (tmp_path / "environment.json").read_bytes() != before
    results = read_results(tmp_path / "results.csv")
    assert set(values(results, "mgda", "joint_accuracy")) == {0}
    assert set(values(results, "ensemble", "joint_accuracy")) == {0, 1}
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (set(config["methods"].split(",")), config["seeds"]) == ({*METHODS, "mgda"}, 2)
    with pytest.raises(MMParetoError, match=r"another \(epochs 1 there, 2 now"):
        compare(replace(BASE, epochs=2), ["joint"], 1, tmp_path, jobs=1, listener=lambda *_: None)
    assert not (tmp_path / "runs" / "joint-seed0").exists()


def test_the_folder_says_what_was_compared_and_where(
    grid: tuple[Path, list[tuple[Cell, str]]],
) -> None:
    out, _ = grid
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert (config["methods"], config["seeds"], config["epochs"]) == (
        "uniform,mmpareto,ensemble",
        2,
        1,
    )
    assert config["notes"] == list(BASE.data.notes)
    environment = json.loads((out / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    assert {"date", "command", "python", "processor", "cores"} <= set(environment)
    magnitudes = (out / "magnitudes.csv").read_text().splitlines()
    assert magnitudes[0] == "method,modality,objective,batch,norm"
    assert magnitudes[1].startswith("uniform,gray,joint,0,")
    assert len(magnitudes) == 1 + 2 * 2 * (1257 // 64)


def test_a_folder_with_other_trainings_is_refused_and_unharmed(
    grid: tuple[Path, list[tuple[Cell, str]]],
) -> None:
    out, _ = grid
    before = (out / "results.csv").read_bytes()
    with pytest.raises(MMParetoError, match="epochs 1 there, 2 now"):
        compare(replace(BASE, epochs=2), METHODS, 2, out, jobs=1, listener=lambda *_: None)
    assert (out / "results.csv").read_bytes() == before
    assert load_config(out / "runs" / "uniform-seed0" / "config.yaml").epochs == 1


@pytest.mark.parametrize(
    ("methods", "seeds", "jobs", "message"),
    [
        (
            ["uniform", "nonsense"],
            1,
            1,
            "`methods` should be some of .*ensemble.*mmpareto.* Found 'nonsense'",
        ),
        (["uniform", "uniform"], 1, 1, "`methods` should be one or more different names"),
        ([], 1, 1, "`methods` should be one or more different names"),
        (["uniform"], 0, 1, "`seeds` should be at least 1. Found 0"),
        (["uniform"], 1, 0, "`jobs` should be at least 1. Found 0"),
    ],
)
def test_a_senseless_grid_is_refused_before_a_folder_is_made(
    tmp_path: Path, methods: list[str], seeds: int, jobs: int, message: str
) -> None:
    with pytest.raises(MMParetoError, match=message):
        compare(BASE, methods, seeds, tmp_path / "out", jobs=jobs, listener=lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_missing_data_are_found_before_the_first_cell(tmp_path: Path) -> None:
    base = replace(BASE, data=CGMNIST(tmp_path / "none.npz"))
    with pytest.raises(MMParetoError, match=r"none\.npz"):
        compare(base, METHODS, 1, tmp_path / "out", jobs=1, listener=lambda *_: None)
    assert not (tmp_path / "out").exists()
