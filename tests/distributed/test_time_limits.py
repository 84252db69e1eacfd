"""A process that never comes: the others end with a message that names rank and objective."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

import mmpareto as mp
from networks import LateFusion

LIMIT = datetime.timedelta(seconds=2)


def waits(rank: int, folder: Path, place: str) -> None:
    """A step that the second process does not make, or leaves at its second objective."""
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=LIMIT)
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch(rank))
    if rank == 1 and place == "never":
        until_told(folder)
    if rank == 1:
        losses["audio"].register_hook(lambda gradient: until_told(folder))
    outcome: dict[str, Any] = {"message": ""}
    try:
        mp.backward(losses, model.partition, mp.MMPareto())
    except mp.MMParetoError as error:
        outcome["message"] = str(error)
    outcome["untouched"] = all(parameter.grad is None for parameter in model.parameters())
    torch.save(outcome, folder / "0.pt")
    (folder / "told").write_text("")  # opens when the other one waits for it
    os._exit(0)


def until_told(folder: Path) -> None:
    (folder / "told").read_text()
    os._exit(0)


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("place", "awaited"),
    [
        ("never", "what a step consists of (here with the objectives 'joint', 'audio', 'visual')"),
        ("second", "the gradients of objective 'audio'"),
    ],
)
def test_rank_and_objective_are_named(place: str, awaited: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    start_processes(waits, (tmp_path, place), nprocs=2, start_method="forkserver")
    outcome = torch.load(tmp_path / "0.pt")
    assert f"All processes should send {awaited} within the time limit" in outcome["message"]
    assert "rank 0 of 2 waited in vain" in outcome["message"]
    assert outcome["untouched"]
