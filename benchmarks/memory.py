"""Peak memory of a contender, in a process of its own.

Counted are the bytes that torch's allocator has handed out and not got back, from the making of the
model to the end of the third step, or of the contender's first period: weights, momentum,
activations, gradients, everything that is a tensor. The profiler reports each allocation, so the
number is exact and the same in each run; what the allocator or the machine keep in reserve is not
in it, nor is what libraries allocate by themselves (oneDNN's scratch).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import CASES
from benchmarks.contenders import CONTENDERS, sgd

STEPS = 3


def peak_in_fresh_process(case: str, contender: str, device: str = "cpu") -> int:
    """Bytes, measured in a process that has done nothing but import what is needed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.memory"])
    with ProcessPoolExecutor(1, context) as pool:
        measure = peak if device == "cpu" else peak_on_gpu
        return pool.submit(measure, case, contender).result()


def peak_on_gpu(case: str, contender: str) -> int:
    """Bytes that CUDA's allocator has handed out at most, measured in this process."""
    measured = next(c for c in CONTENDERS if c.name == contender)
    model, batch = CASES[case].model("cuda"), CASES[case].batch("cuda")
    step = measured.step(model, sgd(model))
    for _ in range(max(STEPS, measured.period)):
        step(batch)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def peak(case: str, contender: str) -> int:
    """Bytes, measured in this process."""
    torch.set_num_threads(1)  # a parallel reduction has a buffer per thread
    measured = next(c for c in CONTENDERS if c.name == contender)
    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model = CASES[case].model()
        batch, step = CASES[case].batch(), measured.step(model, sgd(model))
        for _ in range(max(STEPS, measured.period)):
            step(batch)
    live = highest = 0
    events = profiler.profiler.kineto_results.events()
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        live += event.nbytes()
        highest = max(highest, live)
    return highest


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps what the profiler, which is not written in Python, prints off the standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
