"""A non-finite gradient stays non-finite, so that a loss scaler can skip the step; finite ones stay
finite.
"""

from __future__ import annotations

import math

import pytest

import mmpareto as mp
from families import gradients, step
from networks import (
    LateFusion,
    every_exported_method,
    plain_gradients,
    weighted,
    with_and_without_geometry,
)

every_value = pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])


@every_value
@every_exported_method
@pytest.mark.parametrize("m", [1, 2, 3, 10])
def test_entry_stays_non_finite(m: int, method: mp.Method, value: float) -> None:
    names = ["joint", *(f"m{number}" for number in range(1, m))]
    for number, name in enumerate(names):
        g = gradients("generic", m)
        g[number, 4] = value
        takes_part = name in weighted(method, names)
        assert bool(step(g, method)[0][4].isfinite()) != takes_part


@every_value
@every_exported_method
@pytest.mark.parametrize("objective", ["joint", "audio"])
def test_loss_spoils_at_least_what_it_spoils_under_autograd(
    objective: str, method: mp.Method, value: float
) -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    losses[objective] = losses[objective] * value
    expected = plain_gradients(model, *losses.values())
    # Of some methods the encoders see some losses alone.
    seen = plain_gradients(model, *map(losses.__getitem__, weighted(method, list(losses))))
    expected |= {name: seen[name] for name in expected if name.startswith("encoders.")}
    mp.backward(losses, model.partition, method)
    for name, parameter in model.named_parameters():
        assert not parameter.grad[~expected[name].isfinite()].isfinite().any(), name


@every_exported_method
def test_other_encoders_are_not_drawn_in(method: mp.Method) -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    losses["audio"] = losses["audio"] * math.nan
    mp.backward(losses, model.partition, method)
    assert all(
        parameter.grad.isfinite().all() for parameter in model.encoders["visual"].parameters()
    )
    assert all(parameter.grad.isfinite().all() for parameter in model.joint.parameters())


@with_and_without_geometry
def test_the_encoders_of_joint_do_not_see_unimodal_losses(geometry: mp.Geometry | None) -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    losses["audio"] = losses["audio"] * math.nan
    mp.backward(losses, model.partition, mp.Joint(), geometry=geometry)
    assert all(parameter.grad.isfinite().all() for parameter in model.encoders.parameters())
    assert all(parameter.grad.isnan().all() for parameter in model.heads["audio"].parameters())


@every_value
@every_exported_method
@pytest.mark.parametrize("m", [2, 3])
def test_what_is_not_finite_is_neither_in_conflict_nor_in_agreement(
    m: int, method: mp.Method, value: float
) -> None:
    g = gradients("aligned", m)
    g[0, 4] = value
    report = step(g, method)[1]["m1"]
    assert not report.conflict
    assert report.cosine.isnan()
    g = gradients("conflicting", 3)
    g[2, 4] = value
    assert step(g, method)[1]["m1"].conflict  # of the other two
