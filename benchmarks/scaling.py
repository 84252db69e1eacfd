"""Steps per second and bytes communicated on 1 and 2 processes (gloo), beside DDP.

Then, from bytes, latency, bandwidth and overlap, what a step costs on accelerators.

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
from benchmarks.messages import counted, measured_network, predictions
from benchmarks.models import LateFusion
from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto.distributed import _shares


def whole_averages(model: LateFusion) -> Backward:
    """MMPareto where every process averages each objective's gradients whole."""
    backward = balanced(mp.MMPareto())(model)

    def undivided(losses: dict[str, Tensor]) -> None:
        least, _shares.LEAST = _shares.LEAST, 2**62
        try:
            backward(losses)
        finally:
            _shares.LEAST = least

    return undivided


MAKES = {
    f"DistributedDataParallel, {PLAIN}": plain,
    UNIFORM: balanced(mp.Uniform(), lambda _: None),
    "MMPareto": balanced(mp.MMPareto()),
    "MMPareto, whole averages": whole_averages,
}
NOTES = (
    "Every process takes a batch of the size named, and one thread. A round times each way for "
    "some steps between two barriers, back to back; times are medians over rounds, *step* the "
    "median ratio to DistributedDataParallel on as many processes. *bytes* is what each process "
    "sends in a step by the shortest exchanges there are. *predicted* is the step on one process "
    "and what its bytes take at the bandwidth of an all-reduce in the same run, over the same sum "
    "of DistributedDataParallel: processors that compute carry no messages meanwhile.",
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
        times, sent, second = torch.load(Path(folder) / "result.pt")
    reference = next(iter(MAKES))
    return [
        {
            "model": CASES[key].name,
            "processes": world,
            "way": name,
            "seconds": float(np.median(times[name])),
            "step": float(np.median(np.divide(times[name], times[reference]))),
            "bytes": sent[name],
            "seconds_of_bytes": sent[name] * second,
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
    sent = {name: count(world) for name, (_, count) in ways.items()}
    second = 1 / measured_network(world).bandwidth if world > 1 else 0.0
    if rank == 0:
        torch.save((times, sent, second), folder / "result.pt")
    dist.barrier()
    # Without tearing anything down: a gloo group may wait for itself for ever (PyTorch 2.13).
    os._exit(0)


def _way(
    key: str, make: Callable[..., Backward], batch: dict[str, Tensor]
) -> tuple[Callable[[], None], Callable[[int], int]]:
    """A training step, and a function that makes one more and returns the bytes it communicates."""
    model = CASES[key].model()
    wrapped = nn.parallel.DistributedDataParallel(model) if make is plain else model
    optimizer, backward = sgd(model), make(model)

    def step() -> None:
        optimizer.zero_grad()
        backward(wrapped(batch))
        optimizer.step()

    def count(world: int) -> int:
        if wrapped is not model:
            wrapped.register_comm_hook(None, _averaged)
        with counted(world) as moved:
            step()
        return round(sum(moved))

    return step, count


def _averaged(_, bucket):  # without annotations, which DistributedDataParallel would not take
    values = bucket.buffer().div_(dist.get_world_size())
    dist.all_reduce(values)
    future = torch.futures.Future()
    future.set_result(values)
    return future


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
    shown = [_shown(row, rows) for row in rows]
    text = heading("Several processes", NOTES) + "\n" + markdown(shown)
    text += "\n\nPredicted for accelerators, as benchmarks/messages.py says:\n\n"
    write(arguments.out, "scaling", text + markdown(predictions()) + "\n", rows)


def _shown(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, str]:
    alone = {
        r["way"]: r["seconds"] for r in rows if r["model"] == row["model"] and r["processes"] == 1
    }
    beside = {
        r["way"]: r["seconds_of_bytes"]
        for r in rows
        if r["model"] == row["model"] and r["processes"] == row["processes"]
    }
    expected = {way: alone[way] + beside[way] for way in alone}
    return {
        "model": row["model"],
        "processes": str(row["processes"]),
        "way": row["way"],
        "steps/s": f"{1 / row['seconds']:.2f}",
        "step": f"{row['step']:.2f}",
        "predicted": f"{expected[row['way']] / expected[next(iter(MAKES))]:.2f}",
        "bytes": f"{row['bytes']:,}",
    }


if __name__ == "__main__":
    main()
