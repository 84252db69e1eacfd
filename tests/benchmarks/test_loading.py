"""Both contenders load the same clips, and the script writes its table."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from benchmarks import loading

REPOSITORY = Path(__file__).parents[2]


def test_both_give_training_batches_of_the_same_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "BATCH", 3)
    (tmp_path / "clips").mkdir()
    sources = loading.make_clips(tmp_path / "clips", 6)
    files, cache = loading.Files([source.path for source in sources]), loading.from_cache(sources)
    batches = [list(islice(loading.loader(dataset, 0), 4)) for dataset in (files, cache)]
    for one, other in zip(*batches, strict=True):
        shown, expected = one["inputs"]["video"], other["inputs"]["video"]
        assert shown.shape == expected.shape == (3, 3, loading.FRAMES, loading.SIZE, loading.SIZE)
        assert shown.dtype == expected.dtype == torch.float32
        assert list(one["id"]) == list(other["id"])
        # Crops are drawn anew by each, from pictures that wave about their mean alike everywhere.
        assert (shown.mean((0, 2, 3, 4)) - expected.mean((0, 2, 3, 4))).abs().max() < 0.5
        assert (shown.std((0, 2, 3, 4)) / expected.std((0, 2, 3, 4)) - 1).abs().max() < 0.3


def test_loading_as_a_process(tmp_path: Path) -> None:
    options = ["--clips", "4", "--seconds", "0.01", "--rounds", "1", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.loading", *options]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loading.csv", "loading.md"]
    assert (tmp_path / "loading.md").read_text() in done.stdout
    with (tmp_path / "loading.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["workers"]) for row in rows] == list(loading.WORKERS)
    assert all(
        float(row["ratio"]) == pytest.approx(float(row["cache"]) / float(row["files"]))
        for row in rows
    )
