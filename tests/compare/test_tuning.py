"""Tuning: the same points for all methods, chosen on validation, in a folder that is continued."""

from __future__ import annotations

import itertools
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mmpareto import balancing, recipes
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method, MMPareto
from mmpareto.cli import main
from mmpareto.compare import DEFAULT_SPACE, compare, tune, write_tuning_report
from mmpareto.compare._best_of import best_of, point_scores
from mmpareto.compare._space import method_config, parse_space
from mmpareto.compare._trials import Trial, read_trials
from mmpareto.compare._tuned import FIRST_SEED, read_tuned
from mmpareto.compare._tuning import TuningRecord, choose, make_cells
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import load_config

BASE = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=1)
SPACE = parse_space(DEFAULT_SPACE)
ALL = [*catalogue(balancing, Method)]
FILES = ("points.csv", "tuned.yaml", "failures.json", "config.yaml")


def run(out: Path, methods: list[str], space: object = DEFAULT_SPACE, **counts: int) -> None:
    numbers = {"budget": 2, "seeds": 1, "jobs": 1, **counts}
    assert tune(BASE, methods, space, out, listener=lambda *_: None, **numbers) == []


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuning") / "out"
    run(out, ["uniform", "mmpareto"], jobs=2)
    return out


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def test_cells_that_are_made_again_give_the_same_files(tuning: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    shutil.copytree(tuning, out)
    for name in ("uniform-point01-seed1000", "mmpareto-point00-seed1000"):
        shutil.rmtree(out / "runs" / name)
    run(out, ["mmpareto"])  # the methods that the folder has already go along
    assert contents(out) == contents(tuning)


def test_a_training_has_the_settings_of_its_point(tuning: Path) -> None:
    configs = []
    for point in (0, 1):
        folder = tuning / "runs" / f"mmpareto-point{point:02d}-seed{FIRST_SEED}"
        configs.append(load_config(folder / "config.yaml"))
    assert configs[0] == replace(BASE, method=MMPareto(), seed=FIRST_SEED)
    lr, gamma = configs[1].optimizer.lr, configs[1].method.gamma  # type: ignore[attr-defined]
    texts = {(trial.method, trial.point): trial.settings for trial in read_trials(tuning)}
    assert texts == {
        ("uniform", 0): "defaults",
        ("mmpareto", 0): "defaults",
        ("uniform", 1): f"optimizer.lr={lr!r}",
        ("mmpareto", 1): f"optimizer.lr={lr!r}; method.gamma={gamma!r}",
    }


def test_the_report_shows_each_method_and_budget(tuning: Path) -> None:
    page = write_tuning_report(tuning).read_text()
    assert page == write_tuning_report(tuning).read_text()
    for text in ("best of 1", "best of 2", "defaults", "mmpareto", "uniform", "data:image/png"):
        assert text in page
    assert (tuning / "figures" / "best-of.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimizer.lr": {"log": [1e-3, 1e-1]}}, "space"),
        ({**DEFAULT_SPACE, "method.gamma": {"linear": [1, 2]}}, "space"),
    ],
)
def test_the_folder_of_another_tuning_is_refused(tuning: Path, space: object, message: str) -> None:
    before = contents(tuning)
    with pytest.raises(MMParetoError, match=f"another .{message} .* there, .* now"):
        run(tuning, ["mmpareto"], space)
    with pytest.raises(MMParetoError, match="a tuning, whose choices"):
        compare(BASE, ["uniform"], 1, tuning, jobs=1, listener=lambda *_: None)
    assert contents(tuning) == before


def test_a_folder_of_a_comparison_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("methods: uniform\nseeds: 2\n")
    with pytest.raises(MMParetoError, match="another"):
        run(tmp_path, ["uniform"])


def test_points_are_the_same_for_all_methods_and_begin_with_the_defaults() -> None:
    rates: dict[int | None, set[float]] = {}
    cells = make_cells(BASE, ALL, SPACE, budget=8, seeds=2)
    assert len(set(cells)) == len(ALL) * 8 * 2
    for cell in cells:
        settings = dict(cell.settings)
        rates.setdefault(cell.point, set()).add(settings.get("optimizer.lr", math.nan))
        ranges = method_config(BASE, cell.method).method.facts.ranges
        own = {f"method.{name}" for name in ranges}
        assert settings.keys() == ({"optimizer.lr", *own} if cell.point else set())
        for name, interval in ranges.items():
            if cell.point:
                assert interval.low <= settings[f"method.{name}"] <= interval.high
    assert all(map(math.isnan, rates.pop(0)))
    assert [len(values) for values in rates.values()] == [1] * 7
    # Of eight intervals of one length each point but the eighth's, which it would have, has one.
    eighths = {int(8 * point["optimizer.lr"]) for point in SPACE.points(9)}
    assert eighths == set(range(8))


def test_more_points_or_other_methods_change_no_point() -> None:
    assert SPACE.points(20)[:4] == SPACE.points(5)
    assert SPACE.points(1) == []
    for cell in make_cells(BASE, ["mmpareto"], SPACE, budget=3, seeds=1):
        others = make_cells(BASE, ALL, SPACE, budget=5, seeds=1)
        assert others[others.index(cell)].settings == cell.settings


def scored(test: float) -> TuningRecord:
    """Cells whose validation score is best at point 1, and for one method at none."""
    cells = make_cells(BASE, ["uniform", "mmpareto"], SPACE, budget=4, seeds=2)
    record = TuningRecord(BASE, Path(), cells)
    for cell in cells:
        score = {0: 0.5, 1: 0.6, 2: 0.6, 3: 0.7}[cell.point or 0]
        if cell.point == 3 and cell.method == "uniform" and cell.seed == FIRST_SEED:
            score = math.nan
        if cell.point == 3 and cell.method == "mmpareto" and cell.seed > FIRST_SEED:
            continue  # failed
        other = {"joint_accuracy": test * (cell.point or 0) % 1}
        record.done[cell] = {"train": {}, "val": {"joint_accuracy": score}, "test": other}
    return record


def test_the_choice_is_by_validation_and_only_of_complete_points() -> None:
    chosen = []
    for test in (0.1, 0.9):
        record = scored(test)
        chosen.append(choose(record.trials(), record.cells, seeds=2))
    assert chosen[0] == chosen[1]
    assert {name: choice.point for name, choice in chosen[0].items()} == {
        "uniform": 1,
        "mmpareto": 1,
    }
    assert chosen[0]["uniform"].score == pytest.approx(0.6)


def test_a_method_that_failed_everywhere_has_no_choice() -> None:
    trial = Trial("uniform", 0, FIRST_SEED, "defaults", "joint_accuracy", 0.5)
    assert point_scores([trial], seeds=2) == {}
    assert choose([trial], [], seeds=2) == {}


def test_best_of_is_the_mean_over_all_draws() -> None:
    scores = [0.3, 0.9, 0.9, 0.1, 0.5]
    for drawn, expected in enumerate(best_of(scores), start=1):
        draws = [max(draw) for draw in itertools.combinations(scores, drawn)]
        assert expected == pytest.approx(math.fsum(draws) / len(draws), rel=1e-14)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimizer.rate": {"log": [1, 2]}}, "Found 'optimizer.rate'"),
        ({"epochs": {"linear": [1, 2]}}, "Found 'epochs'"),
        ({"data.variance": {"linear": [0, 1]}}, "Found 'data.variance'"),
        ({"optimizer.__class__": {"linear": [0, 1]}}, "Found 'optimizer.__class__'"),
        ({"method.c": {"linear": [0, 1]}}, "Found 'method.c'"),
        ({"optimizer.lr": {"log": [0.1, 0.1]}}, "low below high"),
        ({"optimizer.lr": {"log": [0, 0.1]}}, "low below high"),
        ({"optimizer.lr": {"linear": [0, "inf"]}}, "low below high"),
        ({"optimizer.lr": {"linear": ["nan", 1]}}, "low below high"),
        ({"optimizer.lr": {"linear": [-1, 1]}}, "should be"),
        ({"optimizer.lr": {"log": [0.1, 1], "linear": [0, 1]}}, "one interval"),
        ({"optimizer.lr": {"cubic": [0.1, 1]}}, "log, linear"),
        ({"optimizer.lr": [0.1, 1]}, "a mapping"),
        ("optimizer.lr", "a mapping"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(
    tmp_path: Path, space: object, message: str
) -> None:
    with pytest.raises(MMParetoError, match=message) as refused:
        run(tmp_path / "out", ["uniform", "mmpareto"], space)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["budget", "seeds", "jobs"])
def test_numbers_below_one_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MMParetoError, match=f"`{name}` should be at least 1"):
        run(tmp_path / "out", ["uniform"], **{name: 0})
    assert not (tmp_path / "out").exists()


def test_the_stored_tuning_is_what_a_command_takes(
    tuning: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tuning)
    assert main(["tune", "--config", str(tuning / "config.yaml"), "--out", str(tuning)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("done before") == 4
    assert f"Report: {(tuning / 'report.html').as_uri()}" in shown
    assert contents(tuning) == before
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--space", "{optimizer.lr: {log: [2, 1]}}", "--out", str(tuning / "new")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    stored = yaml.safe_load((tuning / "config.yaml").read_text())
    assert stored["space"] == DEFAULT_SPACE
    assert (stored["budget"], stored["seeds"], stored["methods"]) == (2, 1, "uniform,mmpareto")
    assert read_tuned(tuning).choices.keys() == {"uniform", "mmpareto"}
