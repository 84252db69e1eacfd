"""`mmpareto train` on two real processes equals one process with the full batch, and writes
everything once.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch

from mmpareto import recipes
from mmpareto.compare import compare
from mmpareto.errors import MMParetoError
from mmpareto.training import load_config, load_run
from mmpareto.training._epoch_batches import EpochBatches
from mmpareto.training.run import run
from processes import run_together

# No batch norm, whose statistics are those of a process's share; and objectives that conflict.
MODEL = ["--model", "bottleneck", "--model.dim", "16", "--model.layers", "2", "--epochs", "2"]
LOG = Path("logs", "csv", "version_0", "metrics.csv")
TWO = ["--devices", "2"]
HERE = [sys.executable, "-m", "mmpareto"]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc_per_node",
    "2",
    "-m",
    "mmpareto",
]

INTERFERED = """
import os, signal, sys
import lightning
from mmpareto.cli import main
from mmpareto.training._module import BalancedModule

step = BalancedModule.training_step

def training_step(self, batch, batch_idx):
    if self.global_step == 25 and self.global_rank == RANK:  # in the second epoch of 19 steps
        HAPPENS
    return step(self, batch, batch_idx)

BalancedModule.training_step = training_step
sys.exit(main())
"""


def launch(command: list[str], out: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command, and waits for all processes that it started: they hold its output open."""
    return run_together([*command, "--out", str(out)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained([*HERE, "train", *MODEL], tmp_path_factory.mktemp("alone") / "run")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        [*HERE, "train", *MODEL, *TWO, "--strategy", "fsdp"],
        tmp_path_factory.mktemp("fsdp") / "run",
    )


def trained(command: list[str], out: Path) -> Path:
    """The folder of a training that went well and said so once."""
    ended = launch(command, out)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Results are in") == ended.stdout.count("joint") == 1
    assert "Traceback" not in ended.stderr
    return out


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def assert_same_training(out: Path, alone: Path) -> None:
    ours, theirs = (torch.load(folder / "best.ckpt", weights_only=True) for folder in (out, alone))
    assert ours["epoch"] == theirs["epoch"]
    assert not any(hasattr(value, "device_mesh") for value in ours["state_dict"].values())
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=1e-5, atol=1e-6)
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (out, alone))
    for metrics in (ours, theirs):
        assert metrics["train"].pop("seconds") > 0
    assert ours == theirs
    assert ours["train"]["conflict_rate/gray"] > 0.1
    ours, theirs = (table(folder / "geometry.csv") for folder in (out, alone))
    steps, other_steps = (
        [(row["step"], row["modality"]) for row in rows] for rows in (ours, theirs)
    )
    assert steps == other_steps
    load_run(out)
    assert {path.name for path in out.iterdir()} == {path.name for path in alone.iterdir()}
    for log in ("csv", "tensorboard"):
        assert len(list((out / "logs" / log).iterdir())) == 1
    for ours, theirs in zip(*(table(folder / LOG) for folder in (out, alone)), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(
            float(ours[key] or 0) == pytest.approx(float(theirs[key] or 0), rel=1e-4)
            for key in ours
        )


@pytest.mark.distributed
def test_replicas_equal_one_process(alone: Path, tmp_path: Path) -> None:
    out = trained([*HERE, "train", *MODEL, *TWO], tmp_path / "run")
    assert_same_training(out, alone)
    again = run(load_config(out / "config.yaml"), out, progress=False)
    assert again == json.loads((out / "metrics.json").read_text())


@pytest.mark.distributed
def test_shards_equal_one_process(alone: Path, sharded: Path) -> None:
    assert_same_training(sharded, alone)


@pytest.mark.distributed
def test_parts_of_shares_equal_one_process(alone: Path, tmp_path: Path) -> None:
    out = trained([*HERE, "train", *MODEL, *TWO, "--accumulate", "2"], tmp_path / "run")
    assert_same_training(out, alone)


@pytest.mark.distributed
def test_settings_of_the_optimizer_reach_shards(tmp_path: Path) -> None:
    settings = ["--lr_factors", '{"gray": 0.5}', "--schedule.kind", "cosine", "--clip", "1"]
    alone = trained([*HERE, "train", *MODEL, *settings], tmp_path / "alone")
    sharded = [*HERE, "train", *MODEL, *TWO, "--strategy", "fsdp", *settings]
    assert_same_training(trained(sharded, tmp_path / "run"), alone)


@pytest.mark.distributed
def test_torchrun_may_start_the_processes(alone: Path, tmp_path: Path) -> None:
    assert_same_training(
        trained([*TORCHRUN, "train", *MODEL, *TWO, "--strategy", "ddp"], tmp_path / "run"), alone
    )


def interfered(tmp_path: Path, rank: int, happens: str) -> list[str]:
    script = tmp_path / "interfered.py"
    script.write_text(INTERFERED.replace("RANK", str(rank)).replace("HAPPENS", happens))
    return [sys.executable, str(script), "train", *MODEL, *TWO]


@pytest.mark.distributed
def test_a_killed_sharded_training_continues_to_the_same_result(
    sharded: Path, tmp_path: Path
) -> None:
    killed = [
        *interfered(tmp_path, 0, "os.kill(os.getpid(), signal.SIGKILL)"),
        "--strategy",
        "fsdp",
    ]
    out = tmp_path / "run"
    assert launch(killed, out).returncode == -9
    assert (out / "last.ckpt").is_file()
    trained([*HERE, "train", *MODEL, *TWO, "--strategy", "fsdp"], out)
    for name in ("best.ckpt", "geometry.csv"):
        assert (out / name).read_bytes() == (sharded / name).read_bytes(), name


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_of_one_process_ends_all(tmp_path: Path, rank: int) -> None:
    ended = launch(
        interfered(tmp_path, rank, "raise RuntimeError('out of luck')"), tmp_path / "run"
    )
    assert ended.returncode != 0
    assert "out of luck" in ended.stderr
    assert "Results are in" not in ended.stdout
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.distributed
def test_processes_select_by_the_statistics_of_the_first(tmp_path: Path) -> None:
    """With batch norm each shard's own would give each process another accuracy."""
    model = ["--model", "late-fusion", "--model.width", "2", "--epochs", "1"]
    out = trained([*HERE, "train", *model, *TWO, "--strategy", "fsdp"], tmp_path / "run")
    seen = [
        float(row["val/joint_accuracy"]) for row in table(out / LOG) if row["val/joint_accuracy"]
    ]
    stored = json.loads((out / "metrics.json").read_text())["val"]["joint_accuracy"]
    assert seen == [pytest.approx(stored, abs=1e-6)]


def test_shares_make_up_the_batches_of_one_process() -> None:
    whole = [sorted(batch) for batch in EpochBatches(13, 6, seed=3)]
    shares = [list(EpochBatches(13, 6, seed=3, rank=rank, processes=3)) for rank in range(3)]
    assert all(len(share) == 2 for batches in shares for share in batches)
    assert [sorted(chain.from_iterable(parts)) for parts in zip(*shares, strict=True)] == whole


def test_a_comparison_trains_in_one_process_each(tmp_path: Path) -> None:
    base = replace(recipes.cg_digits(), devices=2)
    with pytest.raises(
        MMParetoError, match=r"`base` should be a training of one process.* Found one of 2\."
    ):
        compare(base, ["joint"], 1, tmp_path / "out", jobs=1, listener=lambda cell, outcome: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "launcher",
    [{"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4"}, {"SLURM_STEP_NUM_TASKS": "4"}],
    ids=["torchrun", "srun"],
)
@pytest.mark.parametrize("devices", [1, 2])
def test_as_many_processes_as_were_launched(
    launcher: dict[str, str], devices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    config = replace(recipes.cg_digits(), devices=devices)
    with pytest.raises(
        MMParetoError, match=rf"the product 4, the number .* launched\. Found {devices} and 1\. "
    ):
        run(config, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
