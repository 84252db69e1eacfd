"""What each part of a model receives from `mp.backward`, by comparison with autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion, every_method, plain_gradients, with_and_without_geometry


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def close(got: Tensor | None, expected: Tensor | None) -> bool:
    if got is None or expected is None:
        return got is expected
    return torch.allclose(got, expected, rtol=1e-12, atol=1e-14)


@every_method
@with_and_without_geometry
def test_the_rest_receives_the_plain_sum(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    losses = model.losses(model.batch())
    expected = plain_gradients(model, *losses.values())
    mp.backward(losses, model.partition, method, geometry=geometry)
    for name, parameter in model.named_parameters():
        if not name.startswith("encoders"):
            assert close(parameter.grad, expected[name]), name


@with_and_without_geometry
@pytest.mark.parametrize(
    ("method", "factor"), [(mp.Uniform(), 1.0), (mp.ScaledUniform(gamma=0.7), 0.7)]
)
def test_uniform_is_the_summed_losses_backward(
    model: LateFusion, method: mp.Method, factor: float, geometry: mp.Geometry | None
) -> None:
    losses = model.losses(model.batch())
    expected = plain_gradients(model, *losses.values())
    mp.backward(losses, model.partition, method, geometry=geometry)
    for name, parameter in model.named_parameters():
        assert close(
            parameter.grad, (factor if name.startswith("encoders") else 1) * expected[name]
        ), name


@with_and_without_geometry
def test_joint_trains_encoders_by_the_joint_loss_alone(
    model: LateFusion, geometry: mp.Geometry | None
) -> None:
    losses = model.losses(model.batch())
    joint, everything = (
        plain_gradients(model, losses["joint"]),
        plain_gradients(model, *losses.values()),
    )
    mp.backward(losses, model.partition, mp.Joint(), geometry=geometry)
    for name, parameter in model.named_parameters():
        expected = joint if name.startswith("encoders") else everything
        assert close(parameter.grad, expected[name]), name
    assert all(parameter.grad.any() for parameter in model.heads.parameters())


@every_method
@with_and_without_geometry
def test_gradients_are_added_in_place(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    mp.backward(model.losses(model.batch(0)), model.partition, method, geometry=geometry)
    first = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    mp.backward(model.losses(model.batch(1)), model.partition, method, geometry=geometry)
    buffers = {name: parameter.grad for name, parameter in model.named_parameters()}
    mp.backward(model.losses(model.batch(0)), model.partition, method, geometry=geometry)
    second = {name: buffer.clone() for name, buffer in buffers.items()}
    model.zero_grad()
    mp.backward(model.losses(model.batch(1)), model.partition, method, geometry=geometry)
    for name, parameter in model.named_parameters():
        assert close(second[name], first[name] + parameter.grad), name
        assert not parameter.grad.requires_grad


@every_method
@with_and_without_geometry
def test_order_of_losses_is_immaterial(method: mp.Method, geometry: mp.Geometry | None) -> None:
    received = []
    for order in (["joint", "audio", "visual", "text"], ["text", "joint", "visual", "audio"]):
        model = LateFusion("audio", "visual", "text")
        losses = model.losses(model.batch())
        mp.backward(
            {name: losses[name] for name in order}, model.partition, method, geometry=geometry
        )
        received.append([parameter.grad for parameter in model.parameters()])
    assert all(close(a, b) for a, b in zip(*received, strict=True))


@with_and_without_geometry
def test_leaves_outside_the_model_are_served_as_by_autograd(
    model: LateFusion, geometry: mp.Geometry | None
) -> None:
    temperature = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    batch = model.batch()
    batch["audio"].requires_grad_()
    losses = {name: loss * temperature for name, loss in model.losses(batch).items()}
    expected = torch.autograd.grad(
        sum(losses.values()), [temperature, batch["audio"]], retain_graph=True
    )
    mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry)
    assert close(temperature.grad, expected[0])
    assert close(batch["audio"].grad, expected[1])


@every_method
@with_and_without_geometry
def test_retained_graph_serves_again(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    losses = model.losses(model.batch())
    mp.backward(losses, model.partition, method, geometry=geometry, retain_graph=True)
    once = [parameter.grad.clone() for parameter in model.parameters()]
    mp.backward(losses, model.partition, method, geometry=geometry)
    assert all(close(p.grad, 2 * grad) for p, grad in zip(model.parameters(), once, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        mp.backward(losses, model.partition, method, geometry=geometry)
    assert all(close(p.grad, 2 * grad) for p, grad in zip(model.parameters(), once, strict=True))
