"""Two processes with half of each batch equal one with all of it, for every method at work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from balancing.at_work import STEPS_PER_EPOCH, Loop, make_batch, make_model, share
from balancing.test_at_work import STEPPING, modalities
from distributed.launch import on_ranks

pytestmark = pytest.mark.distributed
STEPS = 12


def trained(rank: int, world: int) -> dict[str, Tensor]:
    """The weights that each method leaves."""
    weights = {}
    for cls in STEPPING:
        method = cls()
        work = Loop(method, make_model(modalities(method)))
        for number in range(STEPS):
            epoch = number // STEPS_PER_EPOCH
            if number % STEPS_PER_EPOCH == 0:
                work.begin(epoch)
            work.step(share(make_batch(number), rank, 8, world), epoch)
        # A process without anything, and one without a modality, make their steps all the same.
        batch = share(make_batch(99), rank, 8, world)
        if rank == 0:
            del batch["inputs"]["audio"]
        work.backward(batch, 2)
        work.optimizer.step()
        weights[method.name] = work.weights()
    return weights


def one_of_two(rank: int) -> dict[str, Tensor]:
    return trained(rank, 2)


def test_two_equal_one(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, one_of_two)
    assert first.keys() == second.keys() == {cls.name for cls in STEPPING}
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def before_the_odd_step(rank: int) -> dict[str, Tensor]:
    weights = {}
    for cls in STEPPING:
        method = cls()
        work = Loop(method, make_model(modalities(method)))
        for number in range(STEPS):
            if number % STEPS_PER_EPOCH == 0:
                work.begin(number // STEPS_PER_EPOCH)
            batch = make_batch(number) if rank < 0 else share(make_batch(number), rank, 8, 2)
            work.step(batch, number // STEPS_PER_EPOCH)
        weights[method.name] = work.weights()
    return weights


def test_one_with_the_whole_batch_ends_alike(tmp_path: Path) -> None:
    first, _ = on_ranks(tmp_path, before_the_odd_step)
    whole = before_the_odd_step(-1)
    for name, weights in first.items():
        torch.testing.assert_close(weights, whole[name], rtol=1e-8, atol=1e-9, msg=name)
