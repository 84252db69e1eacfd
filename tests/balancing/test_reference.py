"""A hundred optimizer steps beside the literal reference."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from networks import LateFusion
from reference import mmpareto_reference

STEPS = 100

# Both sides round differently in every step: 6e-8 in float32, times the cancellation in a conflict
# (about 10), times the growth of differences over a hundred steps (about 10). The same factors of
# 1e-16 stay below 1e-14.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 5e-5}


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("granularity", ["encoder", "tensor"])
@pytest.mark.parametrize("modalities", [["audio", "visual"], ["audio", "visual", "text"]], ids=len)
def test_fast_and_literal_stay_together(
    modalities: list[str], granularity: str, dtype: torch.dtype
) -> None:
    fast = LateFusion(*modalities, dtype=dtype)
    slow = copy.deepcopy(fast)
    encoders = fast.partition
    method = mp.MMPareto(gamma=1.5, granularity=granularity)
    optimizers = [
        torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in (fast, slow)
    ]
    branches = Counter()

    for step in range(STEPS):
        batch = fast.batch(seed=step)
        report = mp.backward(fast.losses(batch), encoders, method)
        conflicts = mmpareto_reference.backward(
            slow.losses(batch), slow, slow.encoders, 1.5, granularity
        )

        assert {name: bool(report[name].conflict) for name in modalities} == conflicts
        branches.update(conflicts.items())
        for (name, parameter), reference in zip(
            fast.named_parameters(), slow.parameters(), strict=True
        ):
            assert relative(parameter.grad, reference.grad) <= TOLERANCE[dtype], name
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    for name, state in fast.state_dict().items():
        assert relative(state, slow.state_dict()[name]) <= TOLERANCE[dtype], name
    assert (
        min(branches[name, conflict] for name in modalities for conflict in (False, True)) >= 10
    ), branches
