"""Two commands at once in one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from mmpareto.cli import main
from mmpareto.compare._results import read_results

SMALL = ["--model", "late-fusion", "--model.width", "2", "--epochs", "1"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mmpareto", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def test_of_two_different_trainings_one_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "both"
    both = [start("train", *SMALL, "--seed", seed, "--out", str(out)) for seed in ("0", "7")]
    errors = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2]
    assert "should be a folder that no other process" in errors[codes.index(2)] or (
        "another (seed" in errors[codes.index(2)]  # it came when the first was done
    )
    seed = (0, 7)[codes.index(0)]
    assert yaml.safe_load((out / "config.yaml").read_text())["seed"] == seed
    alone = tmp_path / "alone"
    assert main(["train", *SMALL, "--seed", str(seed), "--out", str(alone)]) == 0
    assert (out / "best.ckpt").read_bytes() == (alone / "best.ckpt").read_bytes()


def test_comparisons_of_different_methods_at_once_add_up(tmp_path: Path) -> None:
    shared = [*SMALL, "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]
    both = [start("compare", "--methods", name, *shared) for name in ("uniform", "mmpareto")]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    names = {result.method for result in read_results(tmp_path / "results.csv")}
    assert names == {"uniform", "mmpareto"}
    page = (tmp_path / "report.html").read_text()
    assert page.count("uniform</th>") == page.count("mmpareto</th>") == 1
