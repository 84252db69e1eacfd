"""Arguments of another kind are refused in one line, before anything is changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mmpareto as mp
from networks import LateFusion


@pytest.mark.parametrize("every", ["3", 1.5, True, 0, -1, None, torch.ones(1)])
def test_every_is_a_whole_number(every: object) -> None:
    with pytest.raises(mp.MMParetoError, match=r"`every` should be a whole number, at least 1"):
        mp.Geometry(every=every)


@pytest.mark.parametrize(
    "model", [3, "model", [nn.Linear(1, 1)], {"a": nn.Linear(1, 1)}, nn.Linear]
)
def test_a_partition_is_of_a_module(model: object) -> None:
    with pytest.raises(mp.MMParetoError, match=r"`model` should be the whole model, a torch\.nn"):
        mp.Partition(model, a=nn.Linear(1, 1))


@pytest.mark.parametrize("leaf", [3.0, "weight", None])
def test_an_encoder_is_of_parameters_that_can_learn(leaf: object) -> None:
    with pytest.raises(mp.MMParetoError, match=r"ncoder|Parameter") as raised:
        mp.Partition(a=[leaf])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [torch.complex64, torch.complex128])
def test_weights_are_real(kind: torch.dtype) -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    with pytest.raises(
        mp.MMParetoError, match=r"should return real weights\. Found torch\.complex"
    ):
        mp.backward(losses, model.partition, lambda gramian: torch.ones(len(gramian), dtype=kind))
    assert all(parameter.grad is None for parameter in model.parameters())
