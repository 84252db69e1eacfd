"""Batches are the same whatever the number of processes that load them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import made_data
import pytest
import torch
from made_data import SHAPES, Made

from mmpareto.balancing import MMPareto
from mmpareto.data import Batch, MultimodalDataset
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig, check_same, save_config
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training.run import run

CONFIG = RunConfig(Made(), MMPareto(), LateFusionCNN(width=2), epochs=3, batch_size=16)

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create"
)  # on machines of few cores

KILLED = """
import os, signal, sys
from pathlib import Path
import made_data  # whose recipe the file names
from mmpareto.training import load_config
from mmpareto.training._module import BalancedModule
from mmpareto.training.run import run

step = BalancedModule.training_step

def training_step(self, batch, batch_idx):
    if self.global_step == 15:  # in the third epoch of 6 steps
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

BalancedModule.training_step = training_step
run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
"""

HELD = """
import fcntl, os, signal, sys
from torch.utils.data import Dataset
from mmpareto.training._loading import _loader

class Held(Dataset):
    def __len__(self):
        return 1

    def pending(self, index):
        self.file = open(sys.argv[1], "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()

if __name__ == "__main__":
    next(iter(_loader(Held(), [[0]], ["a"], 2, False)))
"""


def flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [(name, flat(part)) for name, part in value.items()]
    return [value.dtype, value.tolist()] if isinstance(value, torch.Tensor) else [value]


def epochs(workers: int, numbers: list[int]) -> list[list[Any]]:
    loader = training_loader(Made().load().train, replace(CONFIG, seed=3, workers=workers))
    found = []
    for number in numbers:
        begun = iter(loader)  # as Lightning does with a resumed epoch, before it says which
        loader.sampler.set_epoch(number)
        found.append([flat(batch) for batch in begun])
    return found


def test_any_number_of_workers_gives_the_same_augmented_batches_in_every_epoch() -> None:
    alone = epochs(0, [0, 1])
    assert len(alone[0]) == 6
    assert epochs(1, [0, 1]) == alone
    assert epochs(3, [0, 1]) == alone
    assert epochs(3, [1]) == alone[1:]
    assert sorted(map(str, alone[0])) != sorted(map(str, alone[1]))


def test_the_same_sample_changes_from_epoch_to_epoch() -> None:
    tables: dict[int, dict[str, Any]] = {0: {}, 1: {}}
    for number, found in tables.items():
        loader = training_loader(Made().load().train, replace(CONFIG, seed=3))
        loader.sampler.set_epoch(number)
        for batch in loader:
            for row in batch["rows"]["table"].tolist():
                found[batch["id"][row]] = batch["inputs"]["table"][row].tolist()
    assert len(tables[0]) == 64  # two of three
    assert all(tables[0][name] != tables[1][name] for name in tables[0])


def test_loading_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    epochs(0, [0])
    assert torch.get_rng_state().equal(before)


def test_evaluation_reads_all_samples_in_order_and_unchanged() -> None:
    dataset = Made().load().val
    names = [
        [name for batch in evaluation_loader(dataset, SHAPES, workers=n) for name in batch["id"]]
        for n in (0, 2)
    ]
    assert names[0] == names[1] == [f"s{number}" for number in range(96, 140)]
    (batch,) = evaluation_loader(dataset, SHAPES)
    assert all(
        batch["inputs"]["table"][row].equal(dataset.sample(row)[0]["table"])
        for row in batch["rows"]["table"].tolist()
    )
    large = evaluation_loader(dataset, {"image": (3, 1024, 1024)})
    assert [len(indices) for indices in large.sampler] == [5] * 8 + [4]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    run(CONFIG, out, progress=False)
    return out


def assert_same(out: Path, other: Path) -> None:
    for name in ("best.ckpt", "geometry.csv"):
        assert (out / name).read_bytes() == (other / name).read_bytes(), name


def test_a_training_with_workers_is_the_one_without(finished: Path, tmp_path: Path) -> None:
    run(replace(CONFIG, workers=2), tmp_path, progress=False)
    assert_same(tmp_path, finished)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (0, 2)])
def test_a_killed_training_continues_with_another_number_of_workers(
    before: int, after: int, finished: Path, tmp_path: Path
) -> None:
    save_config(replace(CONFIG, workers=before), tmp_path / "given.yaml")
    out = tmp_path / "out"
    path = os.pathsep.join([str(Path(made_data.__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "given.yaml"), str(out)]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": path})
    assert killed.returncode == -9
    assert (out / "last.ckpt").exists()
    run(replace(CONFIG, workers=after), out, progress=False)
    assert_same(out, finished)


def test_the_number_of_workers_makes_no_other_training(finished: Path) -> None:
    check_same(replace(CONFIG, workers=7), finished)
    with pytest.raises(MMParetoError, match="another"):
        check_same(replace(CONFIG, workers=7, threads=2), finished)
    with pytest.raises(MMParetoError, match="`workers` should be at least 0"):
        replace(CONFIG, workers=-1)


def test_workers_end_when_the_program_is_killed(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(HELD)
    command = [sys.executable, "-W", "ignore", tmp_path / "held.py", tmp_path / "lock"]
    assert subprocess.run(command, check=False).returncode == -9
    # Never gets the lock, and fails at the limit, if the worker that holds it lives on.
    take = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
    subprocess.run([sys.executable, "-c", take, tmp_path / "lock"], check=True, timeout=60)


@dataclass(frozen=True, eq=False)
class Failing(MultimodalDataset):
    """Samples that end the worker that asks for them, or that it cannot give."""

    fails: Callable[[], None]

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: Any) -> Batch:
        self.fails()
        raise AssertionError


def die() -> None:
    os.kill(os.getpid(), signal.SIGBUS)  # as where shared memory is too small


def refuse() -> None:
    raise MMParetoError("The cache should be there. Found none.")


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        (
            die,
            r"`workers` should be processes that stay alive\. Found 1 of which one died.*/dev/shm",
        ),
        (refuse, r"^The cache should be there\. Found none\.$"),
    ],
)
def test_what_befalls_a_worker_is_one_line(fails: Callable[[], None], message: str) -> None:
    loader = training_loader(Failing(fails), replace(CONFIG, batch_size=4, workers=1))
    with pytest.raises(MMParetoError, match=message) as raised:
        list(loader)
    assert "\n" not in str(raised.value)
