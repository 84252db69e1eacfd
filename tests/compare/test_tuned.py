"""Comparisons with tuned settings: which they take, what they say, and what they refuse."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mmpareto import recipes
from mmpareto.compare import compare, print_table, write_report
from mmpareto.compare._record import common_settings
from mmpareto.compare._tuned import Choice, Tuned, read_tuned, write_tuned
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig, load_config

BASE = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=1)
CHOSEN = {"optimizer.lr": 0.0625, "method.gamma": 2.5}
CHOICES = {
    "mmpareto": Choice(1, 0.9, CHOSEN),
    "uniform": Choice(0, 0.8, {}),
    "ensemble": Choice(1, 0.7, {"optimizer.lr": 0.0625}),
}


def make_tuning(folder: Path, base: RunConfig = BASE, **changes: Choice) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(common_settings(base)))
    write_tuned(folder, Tuned("cg-digits", 4, 3, {**CHOICES, **changes}))
    return folder


def run(out: Path, tuned: Path | None, methods: list[str], seeds: int = 1) -> None:
    failures = compare(BASE, methods, seeds, out, jobs=1, listener=lambda *_: None, tuned=tuned)
    assert failures == []


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a tuning and of a comparison with its choices."""
    folder = tmp_path_factory.mktemp("tuned")
    tuned = make_tuning(folder / "tuning")
    run(folder / "out", tuned, ["uniform", "mmpareto", "ensemble"])
    return tuned, folder / "out"


def test_each_method_is_trained_with_its_choice(comparison: tuple[Path, Path]) -> None:
    _, out = comparison
    config = load_config(out / "runs" / "mmpareto-seed0" / "config.yaml")
    assert (config.optimizer.lr, config.method.gamma) == (0.0625, 2.5)  # type: ignore[attr-defined]
    uniform = load_config(out / "runs" / "uniform-seed0" / "config.yaml")
    assert uniform.optimizer == BASE.optimizer
    rates = set()
    for path in (out / "runs" / "ensemble-seed0").rglob("config.yaml"):
        rates.add(load_config(path).optimizer.lr)
    assert rates == {0.0625}


def test_table_report_and_record_say_so(comparison: tuple[Path, Path]) -> None:
    tuned, out = comparison
    console = Console(file=io.StringIO(), width=400)
    print_table(out, console)
    assert isinstance(console.file, io.StringIO)
    for shown in (console.file.getvalue(), write_report(out).read_text()):
        assert "mmpareto: optimizer.lr 0.0625, method.gamma 2.5 (point 1)." in shown
        assert "uniform: defaults (point 0)." in shown
        assert "a budget of 4" in shown
        assert "1000 to 1002" in shown
        assert str(tuned.parent) not in shown
    assert read_tuned(out) == read_tuned(tuned)
    stored = yaml.safe_load((out / "config.yaml").read_text())
    assert stored["tuned"] == str(tuned)


def test_a_comparison_keeps_to_its_settings(comparison: tuple[Path, Path], tmp_path: Path) -> None:
    tuned, out = comparison
    before = (out / "results.csv").read_bytes()
    with pytest.raises(MMParetoError, match="a tuning there, now the contrary"):
        run(out, None, ["mmpareto"])
    other = make_tuning(tmp_path / "other", mmpareto=Choice(2, 0.9, {"optimizer.lr": 0.5}))
    with pytest.raises(MMParetoError, match=r"mmpareto .*gamma 2\.5 there, optimizer.lr 0\.5 now"):
        run(out, other, ["uniform"])
    run(out, tuned, ["uniform"])
    assert (out / "results.csv").read_bytes() == before


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    tuned, out = make_tuning(tmp_path / "tuning"), tmp_path / "out"
    with pytest.raises(MMParetoError, match="no choice for mgda"):
        run(out, tuned, ["uniform", "mgda"])
    with pytest.raises(MMParetoError, match="`seeds` should be at most 1000"):
        run(out, tuned, ["uniform"], seeds=1001)
    others = make_tuning(tmp_path / "others", replace(BASE, epochs=2))
    with pytest.raises(MMParetoError, match="epochs 2 there, 1 now"):
        run(out, others, ["uniform"])
    with pytest.raises(MMParetoError, match="Found no file"):
        run(out, tmp_path, ["uniform"])
    assert not out.exists()


@pytest.mark.parametrize(
    "settings",
    [{"method.gamma": -1.0}, {"optimizer.lr": float("nan")}, {"data.variance": 0.5}, {"seed": 1.0}],
)
def test_settings_that_no_training_takes_are_refused(
    tmp_path: Path, settings: dict[str, float]
) -> None:
    tuned = make_tuning(tmp_path / "tuning", mmpareto=Choice(1, 0.5, settings))
    with pytest.raises(MMParetoError, match=next(iter(settings)).rpartition(".")[2]):
        run(tmp_path / "out", tuned, ["mmpareto"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "dataset: {class_path: subprocess.Popen}",
        "!!python/object/apply:os.system ['touch RAN']",
        "choices: {uniform: {point: 0, score: 1, settings: {class_path: subprocess.Popen}}}",
        "choices: {uniform: {point: one, score: 1, settings: {}}}",
        "{dataset: x, budget: 1, seeds: 1, choices: {}, more: 1}",
    ],
)
def test_a_malformed_choice_is_refused(tmp_path: Path, content: str) -> None:
    tuned = make_tuning(tmp_path / "tuning")
    (tuned / "tuned.yaml").write_text(content)
    with pytest.raises(MMParetoError, match=r"tuned\.yaml"):
        run(tmp_path / "out", tuned, ["uniform"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tuning"]
    shutil.rmtree(tuned)
