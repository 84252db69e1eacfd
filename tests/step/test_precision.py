"""Mixed and low precision: autocast, loss scalers, clipping, parameters of several types."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion, every_method
from slow_step import COMPARED, apart, expected, received

CONFLICT = 18  # seed of a batch in which the objectives conflict on both encoders
HALVES = [torch.bfloat16, torch.float16]

compared = pytest.mark.parametrize("method", COMPARED, ids=str)
as_a_loss = pytest.mark.parametrize("as_a_loss", [False, True], ids=["backward", "BalancedLoss"])


def model(dtype: torch.dtype = torch.float32) -> LateFusion:
    return LateFusion("audio", "visual", dtype=dtype)


@compared
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_autocast(dtype: torch.dtype, method: mp.Method) -> None:
    """Gradients are float32; they are those of the losses as autocast computed them."""
    net = model()
    for seed in range(3):
        with torch.autocast("cpu", dtype=dtype):
            losses = net.losses(net.batch(seed))
        want = expected(losses, net.parameters(), net.encoders, method)
        net.zero_grad()
        mp.backward(losses, net.partition, method)
        assert all(parameter.grad.dtype == torch.float32 for parameter in net.parameters())
        assert apart(received(net.parameters()), want) <= 1e-4


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_autocast_makes_a_difference(dtype: torch.dtype) -> None:
    net = model()
    with torch.autocast("cpu", dtype=dtype):
        narrow = net.losses(net.batch())
    steps = [
        expected(x, net.parameters(), net.encoders, mp.Uniform())
        for x in (narrow, net.losses(net.batch()))
    ]
    assert 1e-4 < apart(*steps) < 0.1


@compared
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_parameters_of_one_type(dtype: torch.dtype, method: mp.Method) -> None:
    """The result is rounded to the parameters' precision a few times, whatever cancels."""
    net = model(dtype)
    for seed in range(3):
        losses = net.losses(net.batch(seed))
        want = expected(losses, net.parameters(), net.encoders, method)
        net.zero_grad()
        mp.backward(losses, net.partition, method)
        assert all(parameter.grad.dtype == dtype for parameter in net.parameters())
        assert apart(received(net.parameters()), want) <= 20 * torch.finfo(dtype).eps


@compared
@pytest.mark.parametrize("other", [torch.bfloat16, torch.float64], ids=str)
def test_types_may_differ_within_an_encoder(other: torch.dtype, method: mp.Method) -> None:
    class Cast(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.to(self.weight.dtype)).float()

    net = model()
    for encoder in net.encoders.values():
        encoder[0] = Cast(encoder[0].in_features, 6).to(other)
    for seed in range(3):
        losses = net.losses(net.batch(seed))
        want = expected(losses, net.parameters(), net.encoders, method)
        net.zero_grad()
        report = mp.backward(losses, net.partition, method)
        assert all(parameter.grad.dtype == parameter.dtype for parameter in net.parameters())
        wide = torch.float64 if other == torch.float64 else torch.float32
        assert all(encoder.gramian.dtype == wide for encoder in report.values())
        assert apart(received(net.parameters()), want) <= (
            0.03 if other == torch.bfloat16 else 1e-5
        )


def differentiate(
    net: LateFusion, losses: dict[str, Tensor], method: mp.Method, scaler: object, as_a_loss: bool
) -> None:
    if as_a_loss:
        scaler.scale(mp.BalancedLoss(net.partition, method)(losses)).backward()
    else:
        mp.backward(
            {name: scaler.scale(loss) for name, loss in losses.items()}, net.partition, method
        )


@every_method
@as_a_loss
@pytest.mark.parametrize("half", [None, *HALVES], ids=str)
def test_loss_scaler_leaves_no_trace(
    half: torch.dtype | None, as_a_loss: bool, method: mp.Method
) -> None:
    """Bit for bit, its factor being a power of two; in float16 up to what it saves from
    underflow.
    """
    net, scaler = model(), torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.autocast("cpu", dtype=half or torch.bfloat16, enabled=half is not None):
        first, second = net.losses(net.batch(CONFLICT)), net.losses(net.batch(CONFLICT))
    report = mp.backward(first, net.partition, method)
    assert all(encoder.conflict for encoder in report.values())
    want = [parameter.grad.clone() for parameter in net.parameters()]
    before = [parameter.detach().clone() for parameter in net.parameters()]
    net.zero_grad()
    differentiate(net, second, method, scaler, as_a_loss)
    scaler.unscale_(optimizer)
    tolerance = 1e-2 if half == torch.float16 else 0.0
    for parameter, gradient in zip(net.parameters(), want, strict=True):
        assert torch.allclose(
            parameter.grad, gradient, rtol=tolerance, atol=tolerance * float(gradient.abs().max())
        )
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**12
    assert all((p != b).any() for p, b in zip(net.parameters(), before, strict=True))


@every_method
@as_a_loss
@pytest.mark.parametrize("objective", ["joint", "audio", "visual"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_loss_scaler_skips_a_step_that_overflows(
    value: float, objective: str, as_a_loss: bool, method: mp.Method
) -> None:
    net, scaler = model(), torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    losses = net.losses(net.batch())
    losses[objective] = losses[objective] * value
    differentiate(net, losses, method, scaler, as_a_loss)
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**11
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


@every_method
@as_a_loss
def test_loss_scaler_sees_an_overflow_in_an_encoder_alone(
    as_a_loss: bool, method: mp.Method
) -> None:
    """One entry of one objective's gradient, which no head shares."""
    net, scaler = model(), torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = net.losses(net.batch())
    spoilt = "joint" if method == mp.Joint() else "audio"
    losses[spoilt] = losses[spoilt] + 3e38 * net.encoders["audio"][0].weight[0, 0]
    before = [parameter.detach().clone() for parameter in net.parameters()]
    differentiate(net, losses, method, scaler, as_a_loss)
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**11
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


@compared
def test_clipping(method: mp.Method) -> None:
    net = model(torch.float64)
    losses = net.losses(net.batch())
    want = expected(losses, net.parameters(), net.encoders, method)
    length = torch.cat([gradient.flatten() for gradient in want.values()]).norm()
    mp.backward(losses, net.partition, method)
    assert torch.isclose(
        nn.utils.clip_grad_norm_(net.parameters(), 0.3 * float(length)), length, rtol=1e-10
    )
    assert (
        apart(received(net.parameters()), {p: 0.3 * gradient for p, gradient in want.items()})
        <= 1e-5
    )
