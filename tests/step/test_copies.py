"""Copies of what a training holds, and what tells one method from another."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from networks import LateFusion

Copy = Callable[[Any], Any]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def step(model: LateFusion, balanced: mp.BalancedLoss, seed: int) -> list[Tensor]:
    model.zero_grad()
    balanced(model.losses(model.batch(seed))).backward()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("made", [copy.deepcopy, pickled])
def test_a_copied_training_goes_on_alike(made: Copy) -> None:
    model = LateFusion("audio", "visual")
    geometry = mp.Geometry(every=3, probe={"audio": model.encoders["audio"][2]})
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto(), geometry=geometry)
    step(model, balanced, 0)
    twin, other = made((model, balanced))
    assert other.report.keys() == balanced.report.keys()
    for seed in range(1, 5):
        for one, two in zip(step(model, balanced, seed), step(twin, other, seed), strict=True):
            assert torch.equal(one, two)


class Halves(mp.GradientIntegration):
    """A method without a text of its own."""

    name = "halves"

    def weights(self, gramians: Tensor) -> Tensor:
        return torch.full_like(gramians[0, 0], 0.5)


def test_a_method_without_a_text_is_known_again() -> None:
    model, geometry = LateFusion("audio"), mp.Geometry(every=3)
    losses, partition = model.losses(model.batch()), model.partition
    mp.backward(losses, partition, Halves(), geometry=geometry, retain_graph=True)
    resumed = mp.Geometry(every=3)
    resumed.load_state_dict(geometry.state_dict())
    assert not mp.backward(losses, partition, Halves(), geometry=resumed, retain_graph=True)
    with pytest.raises(mp.MMParetoError, match=r"Found MGDA\(\) after Halves"):
        mp.backward(losses, partition, mp.MGDA(), geometry=resumed)
