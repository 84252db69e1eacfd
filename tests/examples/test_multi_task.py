"""The example for several tasks: its images are what it says, and it runs as a user runs it."""

from __future__ import annotations

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

SCRIPT = Path(__file__).parents[2] / "examples" / "multi_task.py"
METHODS = {"uniform", "scaled-uniform", "mgda", "mmpareto"}
# What Lightning 2.6 warns of by itself under torch 2.13; the library silences it while it trains.
LIGHTNING = "`isinstance(treespec, LeafSpec)` is deprecated"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_images_are_two_digits_of_which_the_right_one_is_noisy(example: dict[str, Any]) -> None:
    digits, labels = load_digits(return_X_y=True)
    digits = torch.tensor(digits).float().view(-1, 1, 8, 8) / 16
    noises = []
    for part in example["two_digits"](0.5).values():
        images, answers, sources = part.tensors
        assert images.shape == (len(sources), 1, 8, 16)
        left, right = images.split(8, dim=3)
        assert torch.equal(left, digits[sources[:, 0]])
        assert torch.equal(answers, torch.tensor(labels)[sources])
        noises.append((right - digits[sources[:, 1]]).flatten())
    noise = torch.cat(noises)
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


def test_no_source_digit_is_in_two_parts_or_beside_itself(example: dict[str, Any]) -> None:
    sources = [part.tensors[2] for part in example["two_digits"](0.5).values()]
    assert [len(pairs) for pairs in sources] == [1257, 180, 360]
    for pairs in sources:
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert torch.equal(pairs[:, 0].sort().values, pairs[:, 1].sort().values)
    every = torch.cat([pairs[:, 0] for pairs in sources])
    assert torch.equal(every.sort().values, torch.arange(1797))


def test_images_are_the_same_at_every_call(example: dict[str, Any]) -> None:
    first, second = (example["two_digits"](0.5)["test"].tensors for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_methods_start_from_the_same_weights_and_see_the_same_batches(
    example: dict[str, Any],
) -> None:
    parts = example["two_digits"](0.5)
    for name in ("train", "val", "test"):
        parts[name] = torch.utils.data.TensorDataset(
            *(tensor[:128] for tensor in parts[name].tensors)
        )
    uniform, same, other = (
        example["train"](parts, method, seed, 1)["train"]
        for method, seed in [
            (example["METHODS"][0], 0),
            (lambda gramian: torch.ones(2), 0),
            (example["METHODS"][0], 1),
        ]
    )
    assert uniform == pytest.approx(same, rel=1e-4)
    assert uniform["norm/trunk/left"] != pytest.approx(other["norm/trunk/left"], rel=1e-4)


def test_runs_and_draws(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-Werror",
        f"-Wignore:{LIGHTNING}",
        str(SCRIPT),
        "--seeds=2",
        "--epochs=1",
    ]
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'out'}"],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mean_accuracy: mgda minus uniform" in done.stdout
    assert "joint_accuracy: mmpareto minus scaled-uniform" in done.stdout

    with (tmp_path / "out" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = {(row["dataset"], row["method"], row["seed"]) for row in rows}
    assert cells == {
        (data, name, seed)
        for data in ("two-digits", "cg-digits")
        for name in METHODS
        for seed in "01"
    }
    tested = {
        row["metric"] for row in rows if row["dataset"] == "two-digits" and row["split"] == "test"
    }
    assert tested == {"mean_accuracy", "left_accuracy", "right_accuracy"}
    measured = {
        row["metric"] for row in rows if row["dataset"] == "two-digits" and row["split"] == "train"
    }
    assert {"conflict/trunk", "norm/trunk/left", "norm/trunk/right"} <= measured
    assert all(0 <= float(row["value"]) <= 1 for row in rows if row["metric"].endswith("_accuracy"))

    image = matplotlib.image.imread(tmp_path / "out" / "multi_task.png")
    assert image.shape[0] > 300
    assert image.shape[1] > 1000
    for half in np.split(image[:, : image.shape[1] // 2 * 2, :3], 2, axis=1):
        assert (half.min(axis=2) < 0.5).mean() > 0.005  # ink in both panels
        assert len(np.unique(half.reshape(-1, 3), axis=0)) > 50
