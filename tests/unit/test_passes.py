"""How often a step runs backward through an encoder."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion


class Count(torch.autograd.Function):
    """Identity that counts the gradients passing through it."""

    @staticmethod
    def forward(ctx: object, x: Tensor, passes: Counter[str], name: str) -> Tensor:
        ctx.passes, ctx.name = passes, name
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None, None]:
        ctx.passes[ctx.name] += 1
        return grad, None, None


class Counted(nn.Sequential):
    """Counts passes between an encoder's first layer and the others."""

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self
        x = Count.apply(first(x), self.passes, self.name)
        for layer in others:
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("method", "geometry", "passes"),
    [
        (mp.Uniform(), False, 1),
        (mp.ScaledUniform(), False, 1),
        (mp.Joint(), False, 1),
        (mp.Uniform(), True, 2),
        (mp.Joint(), True, 2),
        (mp.MMPareto(), True, 2),
        (mp.MMPareto(), False, 2),
    ],
    ids=str,
)
def test_one_pass_per_objective_or_one_for_all(method: mp.Method, geometry: bool, passes: int) -> None:
    model, counter = LateFusion("audio", "visual", "text"), Counter()
    for name, encoder in model.encoders.items():
        model.encoders[name] = Counted(*encoder)
        model.encoders[name].passes, model.encoders[name].name = counter, name
    mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert counter == {"audio": passes, "visual": passes, "text": passes}


def test_without_geometry_the_report_is_empty() -> None:
    model = LateFusion("audio", "visual")
    for method, entries in ((mp.Uniform(), 0), (mp.Joint(), 0), (mp.MMPareto(), 2)):
        report = mp.backward(model.losses(model.batch()), model.partition, method, geometry=False)
        assert len(report) == entries
