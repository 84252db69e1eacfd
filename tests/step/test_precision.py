"""Mixed and low precision: autocast, loss scalers, clipping, parameters of several types."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.gradients import combine
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


def at_an_angle(cosine: float, dtype: torch.dtype, size: int = 4096) -> tuple[Tensor, Tensor]:
    """Two gradients with this cosine, of which the second is 1.37 times longer."""
    generator = torch.Generator().manual_seed(0)
    g, apart = (torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(2))
    apart -= (apart @ g) / (g @ g) * g
    h = 1.37 * (cosine * g + math.sqrt(1 - cosine**2) * apart * g.norm() / apart.norm())
    return g.to(dtype), h.to(dtype)


def exact(g: Tensor, h: Tensor) -> Tensor:
    """MMPareto's combination of two gradients that conflict, with gamma 1."""
    a, b = g.double(), h.double()
    share = (b @ b - a @ b) / (a - b).square().sum()
    shortest = 2 * (share * a + (1 - share) * b)
    return shortest * max(1.0, float((a + b).norm() / shortest.norm()))


@pytest.mark.parametrize("way", ["exact", "probe", "every"])
@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
@pytest.mark.parametrize("cosine", [-0.9, -0.99, -0.999, -0.9999])
def test_gradients_that_nearly_cancel_keep_their_common_direction(
    cosine: float, dtype: torch.dtype, way: str
) -> None:
    """The combination is rounded once, in whatever type the parameters are."""
    g, h = at_an_angle(cosine, dtype)
    below, top = (nn.Parameter(torch.zeros(4096, dtype=dtype)) for _ in range(2))
    head = nn.Parameter(torch.ones((), dtype=dtype))  # in no encoder: above it objectives part
    parameters = [top] if way == "exact" else [below, top]
    geometry = mp.Geometry(
        every=2 if way == "every" else 1, probe={"audio": [top]} if way == "probe" else None
    )
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = None
        value = top if way == "exact" else below.clone() + top
        losses = {"joint": (head * value * g).sum(), "audio": (head * value * h).sum()}
        mp.backward(losses, {"audio": parameters}, mp.MMPareto(gamma=1.0), geometry=geometry)
        want = exact(g, h)
        for parameter in parameters:
            got = parameter.grad.double()
            assert parameter.grad.dtype == dtype
            assert (got - want).norm() <= 0.01 * want.norm()
            assert min(got @ g.double(), got @ h.double()) > 0


def test_a_combination_is_rounded_once() -> None:
    """To the bit, where weights and sum are exact in float32."""
    g, h = at_an_angle(-0.9, torch.bfloat16, 64)
    weights = torch.tensor([1.001, 0.999])
    (got,) = combine([[g], [h]], weights)
    want = (weights[0] * g.float()).addcmul(weights[1], h.float()).bfloat16()
    assert torch.equal(got, want)


@pytest.mark.parametrize("weighting", ["MGDAWeighting", "IMTLGWeighting", "own"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_autocast_does_not_reach_a_weighting(dtype: torch.dtype, weighting: str) -> None:
    """What is decided on is float32 though the call is within autocast."""
    if weighting == "own":
        method = lambda gramian: (gramian @ gramian).diagonal().rsqrt()  # noqa: E731
    else:
        torchjd = pytest.importorskip("torchjd.aggregation", reason="TorchJD is optional")
        method = getattr(torchjd, weighting)()
    net, applied = model(), []
    for inside in (False, True):
        with torch.autocast("cpu", dtype=dtype):
            losses = net.losses(net.batch(CONFLICT))
        with torch.autocast("cpu", dtype=dtype, enabled=inside):
            report = mp.backward(losses, net.partition, method, geometry=mp.Geometry(every=2))
        applied.append([encoder.applied for encoder in report.values()])
    for outside, within in zip(*applied, strict=True):
        assert within.dtype == torch.float32
        assert torch.equal(outside, within)


# What waits for a gradient in `.grad`.


@pytest.mark.parametrize("way", ["backward", "no geometry", "Accumulation", "BalancedLoss"])
def test_optimizers_in_the_backward_pass_step_once_when_all_gradients_are_there(way: str) -> None:
    net, plain = model(torch.float64), model(torch.float64)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    run(plain, way)
    optimizer.step()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in net.parameters()}
    calls: list[tuple[Tensor, bool]] = []

    def hook(parameter: Tensor) -> None:
        calls.append((parameter, all(p.grad is not None for p in unseen(net, calls))))
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(hook)
    run(net, way)
    assert len(calls) == len(list(net.parameters())) == len({parameter for parameter, _ in calls})
    assert all(complete for _, complete in calls)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(map(torch.equal, net.parameters(), plain.parameters()))


def unseen(net: LateFusion, calls: list[tuple[Tensor, bool]]) -> list[Tensor]:
    """Parameters whose hook was not called yet."""
    seen = {parameter for parameter, _ in calls}
    return [parameter for parameter in net.parameters() if parameter not in seen]


def run(net: LateFusion, way: str) -> None:
    losses, method = net.losses(net.batch(CONFLICT)), mp.MMPareto()
    if way == "Accumulation":
        accumulation = mp.Accumulation(net.partition, method)
        accumulation.add(losses)
        accumulation.backward()
    elif way == "BalancedLoss":
        mp.BalancedLoss(net.partition, method)(losses).backward()
    elif way == "no geometry":
        mp.backward(losses, net.partition, mp.ScaledUniform(), geometry=None)
    else:
        mp.backward(losses, net.partition, method)
