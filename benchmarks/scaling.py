"""Steps per second and bytes communicated on 1 and 2 processes (gloo), beside DDP.

python -m benchmarks.scaling [--cases CASE ...] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

import mmpareto as mp
from benchmarks.cases import CASES
from benchmarks.contenders import PLAIN, UNIFORM, Backward, balanced, plain, sgd
from benchmarks.report import RESULTS, heading, markdown, write

MAKES = {
    f"DistributedDataParallel, {PLAIN}": plain,
    UNIFORM: balanced(mp.Uniform(), lambda _: None),
    "MMPareto": balanced(mp.MMPareto()),
}
NOTES = (
    "Every process takes a batch of the size named, and one thread. A round times each way for "
    "some steps between two barriers, back to back; times are medians over rounds, *step* the "
    "median ratio to DistributedDataParallel on as many processes. *bytes* is what each process "
    "hands to all-reduce in a step; DistributedDataParallel sends each gradient entry once, "
    "MMPareto an encoder's twice, since every objective is averaged by itself.",
    "",
)


def measure(key: str, world: int, rounds: int, steps: int) -> list[dict[str, Any]]:
    """A row per way to train, from `world` processes."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["benchmarks.scaling"])
    with tempfile.TemporaryDirectory() as folder:
        start_processes(
            _rank,
            (world, Path(folder), key, rounds, steps),
            nprocs=world,
            start_method="forkserver",
        )
        times, sent = torch.load(Path(folder) / "result.pt")
    reference = next(iter(MAKES))
    return [
        {
            "model": CASES[key].name,
            "processes": world,
            "way": name,
            "steps_per_second": 1 / float(np.median(times[name])),
            "step": float(np.median(np.divide(times[name], times[reference]))),
            "bytes": sent[name],
        }
        for name in MAKES
    ]


def _rank(rank: int, world: int, folder: Path, key: str, rounds: int, steps: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world
    )
    batch = CASES[key].batch()
    ways = {name: _way(key, make, batch) for name, make in MAKES.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (step, _) in ways.items():
            dist.barrier()
            start = time.perf_counter()
            for _ in range(steps):
                step()
            dist.barrier()
            if number:  # the first is warm-up
                times[name].append((time.perf_counter() - start) / steps)
    sent = {name: count() if world > 1 else 0 for name, (_, count) in ways.items()}
    if rank == 0:
        torch.save((times, sent), folder / "result.pt")
    dist.barrier()
    # Without tearing anything down: a gloo group may wait for itself for ever (PyTorch 2.13).
    os._exit(0)


def _way(
    key: str, make: Callable[..., Backward], batch: dict[str, Tensor]
) -> tuple[Callable[[], None], Callable[[], int]]:
    """A training step, and a function that makes one more and returns the bytes it communicates."""
    model = CASES[key].model()
    wrapped = nn.parallel.DistributedDataParallel(model) if make is plain else model
    optimizer, backward = sgd(model), make(model)

    def step() -> None:
        optimizer.zero_grad()
        backward(wrapped(batch))
        optimizer.step()

    def count() -> int:
        sizes = []
        all_reduce = dist.all_reduce

        def counted(values: Tensor, *args: Any, **kwargs: Any) -> Any:
            sizes.append(values.nbytes)
            return all_reduce(values, *args, **kwargs)

        def hook(
            _, bucket
        ):  # without annotations, which DistributedDataParallel would not take as text
            future = torch.futures.Future()
            counted(bucket.buffer().div_(dist.get_world_size()))
            future.set_result(bucket.buffer())
            return future

        if wrapped is not model:
            wrapped.register_comm_hook(None, hook)
        dist.all_reduce = counted
        try:
            step()
        finally:
            dist.all_reduce = all_reduce
        return sum(sizes)

    return step, count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=["mlp-2", "cnn", "resnet-reduced"]
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="in a measurement")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = [
        row
        for key in arguments.cases
        for world in (1, 2)
        for row in measure(key, world, arguments.rounds, arguments.steps)
    ]
    shown = [
        {
            "model": row["model"],
            "processes": row["processes"],
            "way": row["way"],
            "steps/s": f"{row['steps_per_second']:.2f}",
            "step": f"{row['step']:.2f}",
            "bytes": f"{row['bytes']:,}",
        }
        for row in rows
    ]
    write(
        arguments.out,
        "scaling",
        heading("Several processes", NOTES) + "\n" + markdown(shown) + "\n",
        rows,
    )


if __name__ == "__main__":
    main()
