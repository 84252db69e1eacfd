"""Real processes that train together, over gloo."""

from __future__ import annotations

import datetime
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes


def on_ranks(folder: Path, case: Callable[..., Any], *arguments: Any, world: int = 2) -> list[Any]:
    """What ``case(rank, *arguments)`` returns on each of `world` processes: tensors, numbers, text,
    and mappings.
    """
    # Forks of a process that has done nothing but import what all need.
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["torch.distributed.tensor", "mmpareto"]
    )
    start_processes(
        _rank, (world, folder, case, arguments), nprocs=world, start_method="forkserver"
    )
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


def _rank(
    rank: int, world: int, folder: Path, case: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    timeout = datetime.timedelta(minutes=2)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world, timeout=timeout)
    torch.save(case(rank, *arguments), folder / f"{rank}.pt")
    dist.barrier()
    # Without tearing anything down: a group that something still holds may wait for itself, or
    # abort (PyTorch 2.13).
    os._exit(0)
