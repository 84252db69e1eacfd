"""A training has its folder to itself, and its folder is finished with all that belongs to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import mmpareto.training.run
from mmpareto import recipes
from mmpareto._storage._lock import LOCK, locked
from mmpareto._storage._seal import SEAL
from mmpareto.compare import run_claimed
from mmpareto.compare._claimed_run import FINISHED, work_of
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig, describe

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=1, batch_size=256)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run_claimed(CONFIG, out, progress=False)
    return out


def copy(finished: Path, out: Path) -> Path:
    for name in (*FINISHED, SEAL):
        (out / name).write_bytes((finished / name).read_bytes())
    return out


def test_a_finished_training_is_sealed_and_not_repeated(finished: Path, tmp_path: Path) -> None:
    assert not (finished / LOCK).exists()
    out = copy(finished, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run_claimed(CONFIG, out, progress=False)["test"]
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_what_does_not_belong_together_is_made_again(
    finished: Path, tmp_path: Path, name: str, damage: str
) -> None:
    out = copy(finished, tmp_path)
    if damage == "missing":
        (out / name).unlink()
    elif name == "config.yaml":
        (out / name).write_text((out / name).read_text() + "\n# changed\n")
    elif name == "metrics.json":
        (out / name).write_text((out / name).read_text().replace("0.", "0.9"))
    else:
        content = bytearray((out / name).read_bytes())
        content[len(content) // 2] ^= 0x40
        (out / name).write_bytes(content)
    phrase = "is missing" if damage == "missing" else "has changed"
    if (name, damage) == ("metrics.json", "missing"):  # as after an interruption
        metrics = run_claimed(CONFIG, out, progress=False)
    else:
        with pytest.warns(UserWarning, match=rf"is made again: {name} {phrase}"):
            metrics = run_claimed(CONFIG, out, progress=False)
    assert metrics["test"] == run_claimed(CONFIG, finished, progress=False)["test"]
    assert (out / "best.ckpt").read_bytes() == (finished / "best.ckpt").read_bytes()


def test_an_unsound_folder_of_another_training_is_unharmed(finished: Path, tmp_path: Path) -> None:
    out = copy(finished, tmp_path)
    (out / "best.ckpt").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(MMParetoError, match=r"another \(seed 0 there, 7 now"):
        run_claimed(replace(CONFIG, seed=7), out, progress=False)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "of another"),
        pytest.raises(MMParetoError, match="at other work in it"),
    ):
        run_claimed(replace(CONFIG, seed=7), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_workers_are_no_other_work() -> None:
    work = work_of(describe(CONFIG))
    assert work_of(describe(replace(CONFIG, workers=2))) == work
    assert work_of(describe(replace(CONFIG, seed=1))) != work


def test_what_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MMParetoError, match="at most the size of the training part"):
        run_claimed(replace(CONFIG, batch_size=5000), tmp_path / "a" / "b", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "holds"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_the_first_of_several_processes_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], holds: bool
) -> None:
    held = []

    def run(config: RunConfig, out: Path, *, progress: bool) -> dict[str, dict[str, float]]:
        held.append((out / LOCK).exists())
        return {}

    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mmpareto.training.run, "run", run)
    run_claimed(CONFIG, tmp_path, progress=False)
    assert held == [holds]
