"""Timing with a clock that the steps turn themselves, tables, and each script at its smallest."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.cases import TINY
from benchmarks.contenders import CONTENDERS
from benchmarks.messages import Network, Pair, balanced_step, plain_step
from benchmarks.report import markdown, write
from benchmarks.timing import ratios

import mmpareto as mp
from benchmarks import overhead, profile, scaling
from mmpareto import recipes
from mmpareto.step import _per_objective

REPOSITORY = Path(__file__).parents[2]


class Clock:
    """Time that passes when a step is made."""

    def __init__(self) -> None:
        self.now, self.steps = 0.0, 0

    def step(self, *costs: float) -> None:
        self.now += costs[self.steps % len(costs)]
        self.steps += 1

    def __call__(self) -> float:
        return self.now


def test_ratios() -> None:
    clock, periodic = Clock(), Clock()

    def every_fourth() -> None:
        before = periodic.now
        periodic.step(5.0, 1.0, 1.0, 1.0)
        clock.now += periodic.now - before

    steps = {
        "plain": lambda: clock.step(1.0),
        "slow": lambda: clock.step(2.5),
        "periodic": every_fourth,
    }
    got = ratios(steps, "plain", 0.0, periods={"periodic": 4}, clock=clock, rounds=(5, 9))
    assert {name: ratio.median for name, ratio in got.items()} == {
        "plain": 1,
        "slow": 2.5,
        "periodic": 2,
    }
    assert {ratio.rounds for ratio in got.values()} == {5}
    assert got["slow"].low == got["slow"].high == got["slow"].seconds == 2.5


def test_drift_cancels() -> None:
    """A machine that becomes ten times slower from round to round."""
    clock = Clock()
    speed = {"plain": 0, "slow": 0}

    def step(name: str, cost: float) -> None:
        clock.now += cost * 10 ** max(
            0, speed[name] - 3
        )  # two warm-up steps, and one for the reference
        speed[name] += 1

    steps = {"plain": lambda: step("plain", 1.0), "slow": lambda: step("slow", 3.0)}
    speed["slow"] = 1  # is not timed for the number of repetitions
    got = ratios(steps, "plain", 0.0, clock=clock, rounds=(5, 5))
    assert got["slow"].low == pytest.approx(3)
    assert got["slow"].high == pytest.approx(3)


def test_markdown() -> None:
    rows = [
        {"who": "a", "n": "1,000", "over": "+0.50"},
        {"who": "longer", "n": "2", "over": "-1.00"},
    ]
    assert markdown(rows).splitlines() == [
        "| who    |     n |  over |",
        "| ------ | ----: | ----: |",
        "| a      | 1,000 | +0.50 |",
        "| longer |     2 | -1.00 |",
    ]


def test_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    write(out, "name", "text\n", [{"a": 1 / 3, "b": "x, y"}])
    assert sorted(path.name for path in out.iterdir()) == ["name.csv", "name.md"]
    assert (out / "name.md").read_text() == "text\n"
    with (out / "name.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"a": repr(1 / 3), "b": "x, y"}]
    assert capsys.readouterr().out.startswith("text\n")


def test_cost_as_a_process(tmp_path: Path) -> None:
    options = [
        "--quick",
        "--cases",
        "tiny-mlp",
        "--seconds",
        "0.1",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "benchmarks.cost", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cost.csv", "cost.md", "cost.png"]
    text = (tmp_path / "cost.md").read_text()
    assert text in done.stdout
    assert "python -m benchmarks.cost --quick" in text
    with (tmp_path / "cost.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["contender"] for row in rows] == [contender.name for contender in CONTENDERS]
    assert float(rows[0]["step"]) == 1


def test_profile_accounts_for_the_whole_step() -> None:
    functions = _per_objective.combine, mp.MMPareto.weights
    shares = profile.shares("tiny-mlp", rounds=1)
    assert (_per_objective.combine, mp.MMPareto.weights) == functions
    assert all(shares[part] > 0 for part in profile.PARTS)
    assert sum(shares.values()) == pytest.approx(2 * shares["all"])


def test_bare_loop_makes_the_same_training() -> None:
    row = overhead.measure(replace(recipes.cg_digits(), epochs=2))
    assert row["bare_accuracy"] == row["train_accuracy"]
    assert row["train_ms"] > 0


@pytest.mark.distributed
def test_scaling_counts_what_is_sent() -> None:
    model = TINY["tiny-mlp"].model()
    everything = sum(parameter.nbytes for parameter in model.parameters())
    encoders = sum(
        parameter.nbytes
        for encoder in model.encoders.values()
        for parameter in encoder.parameters()
    )
    plain, uniform, *small = scaling.measure("tiny-mlp", 2, rounds=1, steps=1)
    agreement = 16
    assert plain["bytes"] == everything
    assert uniform["bytes"] == everything + agreement
    for mmpareto in small:  # too small to be divided
        assert mmpareto["bytes"] == everything + encoders + agreement


def test_predictions() -> None:
    """Where messages take no time five thirds of a plain step; where they take all, their bytes."""
    pair = Pair("", gradient=1e9, forward=1.0, memory=float("inf"))
    free = Network("", 64, bandwidth=float("inf"), latency=0.0)
    slow = Network("", 64, bandwidth=1.0, latency=0.0)
    for divided, halves in ((False, 8), (True, 6)):
        step = balanced_step(pair, free, divided=divided)
        assert step / plain_step(pair, free) == pytest.approx(10 / 6)
        step = balanced_step(pair, slow, divided=divided)
        assert step / plain_step(pair, slow) == pytest.approx(halves / 4, rel=1e-6)
