"""A balanced loss is a number like any other, and is differentiated in one way."""

from __future__ import annotations

import pytest
import torch

import mmpareto as mp
from networks import LateFusion


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def test_it_is_printed_as_a_number(model: LateFusion) -> None:
    losses = model.losses(model.batch())
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(losses)
    value = sum(losses.values()).item()
    assert f"{loss:.3f}" == f"{value:.3f}"
    assert f"{loss / 2:8.2e}" == f"{value / 2:8.2e}"
    assert loss.item() == pytest.approx(value)
    assert type(loss.detach()) is torch.Tensor


def test_other_ways_to_differentiate_it_are_refused(model: LateFusion) -> None:
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch()))
    parameters = list(model.parameters())
    with pytest.raises(mp.MMParetoError, match=r"Found torch\.autograd\.grad"):
        torch.autograd.grad(loss * 2, parameters, allow_unused=True)
    with pytest.raises(mp.MMParetoError, match=r"Found backward\(inputs="):
        loss.backward(inputs=parameters)
    assert all(parameter.grad is None for parameter in parameters)


@pytest.mark.parametrize("geometry", [False, True, "all", 3])
def test_geometry_is_an_object(model: LateFusion, geometry: object) -> None:
    losses, partition, method = model.losses(model.batch()), model.partition, mp.MMPareto()
    with pytest.raises(mp.MMParetoError, match="Parameter `geometry` should be an"):
        mp.backward(losses, partition, method, geometry=geometry)
    for entry in (mp.BalancedLoss, mp.Accumulation):
        with pytest.raises(mp.MMParetoError, match="Parameter `geometry` should be an"):
            entry(partition, method, geometry=geometry)
