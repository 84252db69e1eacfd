"""Accelerate's loop over `BalancedLoss` equals a plain loop of `mp.backward`, and two processes
equal one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import (
    EVERYTHING,
    SHARES,
    Network,
    assert_equal,
    assert_same_on_all,
    full_batch,
    losses,
    train,
)

STEPS = 4


THIRDS = [EVERYTHING[i::3] for i in range(3)]
METHODS = [mp.MMPareto(), mp.MMPareto(gamma=1.2, granularity="tensor"), mp.MGDA()]


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Accelerators of one process share their state."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def by_accelerate(
    shares: list[list[int]], method: mp.Method, precision: str = "no"
) -> dict[str, Any]:
    """Some steps of SGD on these shares of the full batch, which are micro-batches to be
    accumulated.
    """
    accelerator = Accelerator(
        cpu=True, mixed_precision=precision, gradient_accumulation_steps=len(shares)
    )
    model = Network()
    wrapped, optimizer = accelerator.prepare(
        model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    )
    balanced = mp.BalancedLoss(mp.Partition(model, **model.encoders), method)
    conflicts = []
    for step in range(STEPS):
        batch = full_batch(step)
        for samples in shares:
            part = {name: values[samples] for name, values in batch.items()}
            with accelerator.accumulate(wrapped):
                accelerator.backward(balanced(losses(wrapped(part), part["label"], samples, {})))
                optimizer.step()
                optimizer.zero_grad()
        conflicts += [encoder.conflict for encoder in balanced.report.values()]
    return {
        "parameters": {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        },
        "cosines": {name: encoder.cosine for name, encoder in balanced.report.items()},
        "conflicts": sum(map(int, conflicts)),
        "processes": accelerator.num_processes,
        "wrapper": type(wrapped).__name__,
    }


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("shares", [[EVERYTHING], SHARES, THIRDS], ids=["one", "two", "three"])
def test_accumulation_equals_a_plain_loop(shares: list[list[int]], method: mp.Method) -> None:
    got, want = by_accelerate(shares, method), train(Network(), shares, method, steps=STEPS)
    assert want["conflicts"]
    assert_equal(got, want)


def test_bf16_equals_autocast_by_hand() -> None:
    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    got = by_accelerate([EVERYTHING], mp.MMPareto(), "bf16")
    want = train(Network(), [EVERYTHING], mp.MMPareto(), steps=STEPS, context=autocast)
    full = train(Network(), [EVERYTHING], mp.MMPareto(), steps=STEPS)
    name = "joint.0.weight"
    assert not torch.allclose(got["parameters"][name], full["parameters"][name], rtol=1e-5)
    for name, parameter in want["parameters"].items():
        torch.testing.assert_close(got["parameters"][name], parameter, rtol=1e-6, atol=1e-6)


def on_rank(rank: int, shares: list[list[list[int]]], method: mp.Method) -> dict[str, Any]:
    # As `accelerate launch` sets them; the processes know each other already.
    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= ranks | {"MASTER_ADDR": "localhost", "ACCELERATE_USE_CPU": "true"}
    return by_accelerate(shares[rank], method)


@pytest.mark.distributed
@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("micro", [[EVERYTHING], SHARES], ids=["one", "two"])
def test_two_processes_equal_one(tmp_path: Path, micro: list[list[int]], method: mp.Method) -> None:
    shares = [[samples[rank::2] for samples in micro] for rank in range(2)]
    results = on_ranks(tmp_path, on_rank, shares, method)
    assert [(result["processes"], result["wrapper"]) for result in results] == 2 * [
        (2, "DistributedDataParallel")
    ]
    want = train(Network(), micro, method, steps=STEPS)
    assert want["conflicts"]
    assert_same_on_all(results)
    assert_equal(results[0], want)
