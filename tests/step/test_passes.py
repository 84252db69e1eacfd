"""How often a step runs backward through an encoder."""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import MEASURED, Count, LateFusion


class Counted(nn.Sequential):
    """Counts passes between the first layer and the others."""

    def __init__(self, passes: Counter[str], name: str, layers: nn.Sequential) -> None:
        super().__init__(*layers)
        self.passes, self.name = passes, name

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self
        x = Count.apply(first(x), self.passes, self.name)
        for layer in others:
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("method", "geometry", "encoder", "fusion"),
    [
        (mp.Uniform(), None, 1, 1),
        (mp.ScaledUniform(), None, 1, 1),
        (mp.Joint(), None, 1, 2),  # one with the encoders' weights, and one for itself
        (mp.Uniform(), MEASURED, 2, 1),
        (mp.Joint(), MEASURED, 2, 1),
        (mp.MMPareto(), MEASURED, 2, 1),
        (mp.MMPareto(), None, 2, 1),
    ],
    ids=str,
)
def test_one_pass_per_objective_or_one_for_all(
    method: mp.Method, geometry: mp.Geometry | None, encoder: int, fusion: int
) -> None:
    model, counter = LateFusion("audio", "visual", "text"), Counter()
    model.joint = Counted(counter, "fusion", model.joint)
    for name in model.encoders:
        model.encoders[name] = Counted(counter, name, model.encoders[name])
    mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert counter == {"audio": encoder, "visual": encoder, "text": encoder, "fusion": fusion}


def test_without_geometry_the_report_is_empty() -> None:
    model = LateFusion("audio", "visual")
    for method, entries in ((mp.Uniform(), 0), (mp.Joint(), 0), (mp.MMPareto(), 2)):
        report = mp.backward(model.losses(model.batch()), model.partition, method, geometry=None)
        assert len(report) == entries


@dataclass(eq=False)
class Saved:
    """A tensor that a forward pass saves for the backward pass."""

    tensor: Tensor


@pytest.mark.parametrize("retain_graph", [False, True])
def test_an_encoders_graph_is_freed_after_its_last_objective(retain_graph: bool) -> None:
    """What its forward pass saved is gone when the next encoder's own objective is
    differentiated.
    """
    ear, eye, head = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), nn.Linear(3, 2), nn.Linear(4, 1)
    saved: weakref.WeakSet[Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Saved:
        saved.add(one := Saved(tensor))
        return one

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one.tensor):
        audio = ear(torch.ones(1, 3))
    visual = eye(torch.ones(1, 3))
    alive: list[int] = []
    visual.register_hook(lambda grad: alive.append(len(saved)))
    losses = {
        "joint": head(torch.cat([audio, visual], 1)).sum(),
        "audio": audio.sum(),
        "visual": visual.sum(),
    }
    before = len(saved)
    mp.backward(losses, {"audio": ear, "visual": eye}, mp.MMPareto(), retain_graph=retain_graph)
    assert alive == [before, before if retain_graph else 0]
