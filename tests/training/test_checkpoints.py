"""Checkpoints: complete or absent, read only undamaged, and of the training that reads them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmpareto import recipes
from mmpareto._storage import _files
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import load_run, save_config, stored_metrics
from mmpareto.training._checkpoint_file import choose_checkpoint, read_checkpoint
from mmpareto.training._checkpoint_io import AtomicCheckpoints
from mmpareto.training._config_file import identity
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run

CONFIG = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=3)
NAME = identity(CONFIG)
STEPS = 19  # of an epoch

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from mmpareto._storage import _files
from mmpareto.training import load_config
from mmpareto.training._folder import LAST
from mmpareto.training.run import run

write, count = _files._write_new, 0

def killed(path, data):
    global count
    count += data[:2] == b"PK"  # a checkpoint, not another file
    if count == int(sys.argv[3]):
        write(path, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)

_files._write_new = killed
run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
"""


class Interrupted(Exception): ...


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(CONFIG, out, progress=False)
    return out


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A training that stopped in its third epoch."""
    step = BalancedModule.training_step

    def failing(self: BalancedModule, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 2 * STEPS + 3:
            raise Interrupted
        return step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BalancedModule, "training_step", failing)
        with pytest.raises(Interrupted):
            run(CONFIG, tmp_path / "out", progress=False)
    return tmp_path / "out"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    """In the middle of the largest part: between parts there may be padding."""
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda one: one.file_size)
        stored = archive.read(part)
    content = bytearray(path.read_bytes())
    start = content.index(stored, part.header_offset)
    content[start + len(stored) // 2] ^= 0x40
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_a_list(path: Path) -> None:
    torch.save([1], path)


def put_no_weights(path: Path) -> None:
    torch.save({"state_dict": None}, path)


def compress(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


DAMAGES = [truncate, flip_a_bit, empty, put_a_list, put_no_weights, compress]
damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


def equal(out: Path, finished: Path) -> bool:
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (out, finished))
    same = [(out / n).read_bytes() == (finished / n).read_bytes() for n in ("best.ckpt",)]
    return all(same) and ours["test"] == theirs["test"]


@damages
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    interrupted: Path, damage: Callable[[Path], None]
) -> None:
    assert read_checkpoint(interrupted / "last.ckpt", NAME)["global_step"] == 2 * STEPS
    damage(interrupted / "last.ckpt")
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged.* from .*previous\.ckpt"):
        found = choose_checkpoint(interrupted, NAME)
    assert found == interrupted / "previous.ckpt"
    assert read_checkpoint(found, NAME)["global_step"] == STEPS
    assert not (interrupted / "last.ckpt").exists()


def test_from_the_checkpoint_before_the_result_is_the_same(
    interrupted: Path, finished: Path
) -> None:
    flip_a_bit(interrupted / "last.ckpt")
    with pytest.warns(UserWarning, match="continues from"):
        run(CONFIG, interrupted, progress=False)
    assert equal(interrupted, finished)
    assert not list(interrupted.glob("*previous*"))


def test_two_damaged_checkpoints_are_named(interrupted: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        flip_a_bit(interrupted / name)
    with pytest.raises(MMParetoError, match=r"last\.ckpt should be an undamaged checkpoint"):
        run(CONFIG, interrupted, progress=False)


def test_a_checkpoint_of_another_training_is_refused(interrupted: Path) -> None:
    (interrupted / "config.yaml").unlink()
    with pytest.raises(MMParetoError, match=r"last\.ckpt .* Found that of another"):
        run(replace(CONFIG, seed=1), interrupted, progress=False)


@damages
def test_a_damaged_result_is_named(
    finished: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for name in ("config.yaml", "best.ckpt", "checksums.json"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    load_run(tmp_path)
    damage(tmp_path / "best.ckpt")
    with pytest.raises(MMParetoError, match=r"best\.ckpt should be the file .* has changed"):
        load_run(tmp_path)
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(MMParetoError, match=r"best\.ckpt should be an undamaged checkpoint"):
        load_run(tmp_path)


def test_a_result_of_another_training_is_named(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes((finished / "best.ckpt").read_bytes())
    save_config(replace(CONFIG, seed=1), tmp_path / "config.yaml")
    with pytest.raises(MMParetoError, match=r"best\.ckpt .* Found that of another"):
        load_run(tmp_path)


def test_changed_metrics_are_named(finished: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "checksums.json"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    assert stored_metrics(tmp_path) is not None
    text = (tmp_path / "metrics.json").read_text()
    (tmp_path / "metrics.json").write_text(text.replace("0.", "0.9", 1))
    with pytest.raises(MMParetoError, match=r"metrics\.json should be the file .* has changed"):
        stored_metrics(tmp_path)


def test_a_checkpoint_of_another_device_continues_here(
    interrupted: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = torch.load(interrupted / "last.ckpt", weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(content, interrupted / "last.ckpt")
    assert b"cuda:0" in (interrupted / "last.ckpt").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(CONFIG, interrupted, progress=False)
    assert equal(interrupted, finished)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_killed_while_writing_a_checkpoint(tmp_path: Path, finished: Path, number: int) -> None:
    save_config(CONFIG, tmp_path / "given.yaml")
    out, given = tmp_path / "out", tmp_path / "given.yaml"
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, given, out, str(number)]
    assert subprocess.run(command, check=False).returncode == -9
    (left,) = out.glob(".mmpareto-*")
    os.utime(left, (0, 0))  # long ago
    run(CONFIG, out, progress=False)
    assert equal(out, finished)
    assert not list(out.glob(".mmpareto-*"))
    assert {path.name for path in out.iterdir()} == {path.name for path in finished.iterdir()}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, path = AtomicCheckpoints(NAME), tmp_path / "last.ckpt"
    checkpoints.save_checkpoint({"state_dict": {"a": torch.ones(3)}}, path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(MMParetoError, match=r"last\.ckpt should be a file .* No space left"):
        checkpoints.save_checkpoint({"state_dict": {"a": torch.zeros(3)}}, path)
    monkeypatch.undo()
    kept = choose_checkpoint(tmp_path, NAME)
    assert kept is not None
    assert read_checkpoint(kept, NAME)["state_dict"]["a"].equal(torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == [kept.name]


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink])
def test_without_the_best_epoch_so_far_a_training_starts_again(
    damage: Callable[[Path], None], interrupted: Path, finished: Path
) -> None:
    damage(interrupted / "best.ckpt")
    with pytest.warns(
        UserWarning, match=r"best\.ckpt is damaged or gone\. The training starts again"
    ):
        run(CONFIG, interrupted, progress=False)
    assert (interrupted / "best.ckpt").read_bytes() == (finished / "best.ckpt").read_bytes()
