"""A whole step, forward to optimizer, replayed as a CUDA graph; and what capture forbids.

A capture forbids that the host reads values or copies pageable memory, and that shapes depend on
values: `test_no_host_sync.py` holds that for all methods without a device. A replay runs no Python:
a geometry with `every` measures in none or in all replays, as it did when captured.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from dispatched import count
from networks import LateFusion, every_method

without_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def trained(
    model: LateFusion, method: mp.Method, steps: int, *, graph: bool
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Weights after some steps on one batch, and what the last one reports."""
    batch = {name: x.cuda() for name, x in model.batch().items()}
    partition, optimizer = model.partition, torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> mp.StepReport:
        optimizer.zero_grad()
        report = mp.backward(model.losses(batch), partition, method)
        optimizer.step()
        return report

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            report = step()
    torch.cuda.current_stream().wait_stream(aside)
    if graph:
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            report = step()
        for _ in range(steps):
            captured.replay()
    else:
        for _ in range(steps):
            report = step()
    torch.cuda.synchronize()
    return [p.detach().clone() for p in model.parameters()], report.scalars()


@pytest.mark.gpu
@without_cuda
@every_method
def test_a_replayed_step_is_an_eager_one(method: mp.Method) -> None:
    model = LateFusion("audio", "visual", dtype=torch.float32).cuda()
    results = [
        trained(copy.deepcopy(model), method, steps=4, graph=graph) for graph in (False, True)
    ]
    for eager, replayed in zip(*(weights for weights, _ in results), strict=True):
        torch.testing.assert_close(replayed, eager, rtol=1e-6, atol=1e-7)
    for name, value in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@without_cuda
@every_method
def test_no_synchronization(method: mp.Method) -> None:
    model = LateFusion("audio", "visual", dtype=torch.float32).cuda()
    losses = model.losses({name: x.cuda() for name, x in model.batch().items()})
    partition = model.partition
    torch.cuda.set_sync_debug_mode("error")
    try:
        mp.backward(losses, partition, method)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_method
def test_a_step_takes_the_same_path_whatever_the_values(method: mp.Method) -> None:
    """A replay repeats the calls of the captured step: they must not depend on a batch."""
    called = []
    for seed in range(6):
        model = LateFusion("audio", "visual", "text")
        losses = model.losses(model.batch(seed))
        called.append(count(lambda: mp.backward(losses, model.partition, method)).calls)  # noqa: B023
    assert all(calls == called[0] for calls in called)
