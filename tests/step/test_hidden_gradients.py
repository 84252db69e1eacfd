"""Functions that run autograd in their own backward pass and write ``.grad`` past the step:
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from distributed.launch import on_ranks
from networks import LateFusion

REFUSED = r"should leave gradients to autograd\. Found .* wrote the `\.grad` of \d+ parameters"


class Recomputed(torch.autograd.Function):
    """A checkpoint as of other libraries: runs its module anew, and autograd through it."""

    @staticmethod
    def forward(ctx: object, module: nn.Module, anchor: Tensor, x: Tensor) -> Tensor:
        ctx.module = module
        ctx.save_for_backward(x)
        with torch.no_grad():
            return module(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[None, None, Tensor]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            output = ctx.module(x)
        torch.autograd.backward(output, gradient)
        return None, None, x.grad


class Reversed(torch.autograd.Function):
    """A reversible pair: y1 = x1 + f(x2), y2 = x2 + g(y1); the inputs are made again backwards."""

    @staticmethod
    def forward(ctx: object, x: Tensor, anchor: Tensor, f: nn.Module, g: nn.Module) -> Tensor:
        ctx.f, ctx.g = f, g
        x1, x2 = x.chunk(2, 1)
        with torch.no_grad():
            y1 = x1 + f(x2)
            y2 = x2 + g(y1)
        ctx.save_for_backward(y1, y2)
        return torch.cat([y1, y2], 1)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        y1, y2 = ctx.saved_tensors
        d1, d2 = gradient.chunk(2, 1)
        with torch.enable_grad():
            y1 = y1.detach().requires_grad_()
            made = ctx.g(y1)
            made.backward(d2)
            x2 = (y2 - made).detach().requires_grad_()
            made = ctx.f(x2)
            made.backward(d1 + y1.grad)
        return torch.cat([d1 + y1.grad, d2 + x2.grad], 1), None, None, None


class Checkpoint(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        anchor = torch.zeros(1, requires_grad=True)
        return Recomputed.apply(self.encoder, anchor, x)


class Reversible(nn.Module):
    """Two couplings between two ordinary layers."""

    def __init__(self, encoder: nn.Sequential) -> None:
        super().__init__()
        self.first, _, self.last = encoder
        self.f, self.g = nn.Linear(3, 3).double(), nn.Linear(3, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(Reversed.apply(self.first(x), torch.zeros(1), self.f, self.g).tanh())


WRAPPERS: dict[str, type[nn.Module]] = {"checkpoint": Checkpoint, "reversible": Reversible}
hidden = pytest.mark.parametrize("kind", WRAPPERS)


def wrapped(kind: str) -> LateFusion:
    model = LateFusion("audio", "visual")
    model.encoders["audio"] = WRAPPERS[kind](model.encoders["audio"])
    return model


def accumulated(model: LateFusion) -> None:
    mp.Accumulation(model.partition, mp.MMPareto()).add(model.losses(model.batch()))


CALLS: dict[str, Callable[[LateFusion], object]] = {
    "backward": lambda model: mp.backward(
        model.losses(model.batch()), model.partition, mp.MMPareto()
    ),
    "no geometry": lambda model: mp.backward(
        model.losses(model.batch()), model.partition, mp.Uniform(), geometry=None
    ),
    "probe": lambda model: mp.backward(
        model.losses(model.batch()),
        model.partition,
        mp.MMPareto(),
        geometry=mp.Geometry(probe={"visual": model.encoders["visual"][2]}),
    ),
    "Accumulation": accumulated,
    "BalancedLoss": lambda model: mp.BalancedLoss(model.partition, mp.MMPareto())(
        model.losses(model.batch())
    ).backward(),
}


@hidden
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("before", ["values", "nothing", "some"])
def test_refused_with_grads_as_before(kind: str, call: str, before: str) -> None:
    """To the bit: what was in ``.grad`` is there again, in the very tensors."""
    model = wrapped(kind)
    torch.manual_seed(3)
    for number, parameter in enumerate(model.parameters()):
        if before == "values" or (before == "some" and number % 2):
            parameter.grad = torch.randn_like(parameter)
    tensors = [parameter.grad for parameter in model.parameters()]
    values = [None if gradient is None else gradient.clone() for gradient in tensors]
    with pytest.raises(mp.MMParetoError, match=REFUSED):
        CALLS[call](model)
    for parameter, gradient, value in zip(model.parameters(), tensors, values, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or torch.equal(gradient, value)


@hidden
def test_what_is_refused_would_have_hidden_gradients(kind: str) -> None:
    """Else the test before would prove little: autograd does not see them, ``backward`` does."""
    model = wrapped(kind)
    inside = list(model.encoders["audio"].parameters())
    losses = model.losses(model.batch())
    received = torch.autograd.grad(losses["joint"], inside, retain_graph=True, allow_unused=True)
    assert any(gradient is None for gradient in received)
    model.zero_grad()
    sum(model.losses(model.batch()).values()).backward()
    assert all(parameter.grad is not None for parameter in inside)


def test_grads_are_as_before_where_a_pass_fails() -> None:
    """An error of another kind in a graph that is watched."""
    model = wrapped("checkpoint")
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    kept = [parameter.grad for parameter in model.parameters()]
    model.encoders["visual"][0].weight.register_hook(lambda gradient: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    for parameter, gradient in zip(model.parameters(), kept, strict=True):
        assert parameter.grad is gradient
        assert (gradient == 7).all()


@hidden
def test_a_function_that_hides_a_frozen_encoder_is_taken(kind: str) -> None:
    model = wrapped(kind)
    model.encoders["audio"].requires_grad_(False)
    report = mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    assert list(report) == ["visual"]


def on_a_rank(rank: int) -> dict[str, object]:
    found = {}
    for kind in WRAPPERS:
        model = wrapped(kind)
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 7)
        kept = [parameter.grad for parameter in model.parameters()]
        try:
            mp.backward(model.losses(model.batch(rank)), model.partition, mp.MMPareto())
        except mp.MMParetoError as error:
            found[kind] = str(error)
        for parameter, gradient in zip(model.parameters(), kept, strict=True):
            assert parameter.grad is gradient
            assert (gradient == 7).all()
    plain = LateFusion("audio", "visual")  # and the ranks go on together
    mp.backward(plain.losses(plain.batch(rank)), plain.partition, mp.MMPareto())
    return {**found, "next": plain.joint[0].weight.grad}


@pytest.mark.distributed
def test_refused_on_all_of_several_processes(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, on_a_rank)
    for kind in WRAPPERS:
        assert first[kind] == second[kind]
        with pytest.raises(mp.MMParetoError, match=REFUSED):
            raise mp.MMParetoError(first[kind])
    assert torch.equal(first["next"], second["next"])
