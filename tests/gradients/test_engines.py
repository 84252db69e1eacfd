"""Parameters that an engine keeps: DeepSpeed's marks on them, without DeepSpeed."""

from __future__ import annotations

import pytest
from torch import Tensor

import mmpareto as mp
from networks import LateFusion


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def noticed_by_engine(model: LateFusion) -> list[Tensor]:
    """Hooks as of ZeRO stages 1 and 2; returns what they notice, as it comes."""
    noticed: list[Tensor] = []

    def hook(parameter: Tensor) -> None:
        noticed.append(parameter)

    hook.__module__ = "deepspeed.runtime.zero.stage_1_and_2"
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(hook)
    return noticed


def test_an_engines_backward_pass_notices_each_gradient_once(model: LateFusion) -> None:
    noticed = noticed_by_engine(model)
    mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch())).backward()
    assert sorted(map(id, noticed)) == sorted(map(id, model.parameters()))


def test_a_step_outside_of_the_engine_is_refused(model: LateFusion) -> None:
    noticed = noticed_by_engine(model)
    losses, partition, method = model.losses(model.batch()), model.partition, mp.MMPareto()
    accumulation = mp.Accumulation(partition, method)
    with pytest.raises(mp.MMParetoError, match=r"Call engine\.backward"):
        mp.backward(losses, partition, method)
    with pytest.raises(mp.MMParetoError, match=r"Call engine\.backward"):
        accumulation.add(losses)
    assert not noticed
    assert all(parameter.grad is None for parameter in model.parameters())


def test_parameters_that_are_not_whole_are_refused(model: LateFusion) -> None:
    next(model.parameters()).ds_id = 0
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch()))
    with pytest.raises(mp.MMParetoError, match="ZeRO stage 3"):
        loss.backward()
    assert all(parameter.grad is None for parameter in model.parameters())
