"""Activations that are recomputed, or kept elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

import mmpareto as mp
from networks import MEASURED, LateFusion, every_method, with_and_without_geometry
from slow_step import apart


class Whole(nn.Module):
    def __init__(self, encoder: nn.Sequential, reentrant: bool) -> None:
        super().__init__()
        self.encoder, self.reentrant, self.runs = encoder, reentrant, 0

    def run(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.run, x.requires_grad_(self.reentrant), use_reentrant=self.reentrant)


class OneLayer(Whole):
    def run(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.encoder[2](x)

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(
            self.run, self.encoder[1](self.encoder[0](x)), use_reentrant=self.reentrant
        )


class Segments(Whole):
    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return checkpoint_sequential(
            self.encoder, 2, x.requires_grad_(self.reentrant), use_reentrant=self.reentrant
        )


wrapped_by = pytest.mark.parametrize("wrapper", [Whole, OneLayer, Segments])


def both(
    wrapper: type[Whole], reentrant: bool, dtype: torch.dtype = torch.float64
) -> tuple[LateFusion, LateFusion]:
    plain = LateFusion("audio", "visual", dtype=dtype)
    model = copy.deepcopy(plain)
    for name, encoder in model.encoders.items():
        model.encoders[name] = wrapper(encoder, reentrant)
    return plain, model


def step(
    model: LateFusion,
    losses: dict[str, Tensor],
    method: mp.Method,
    geometry: mp.Geometry | None = MEASURED,
) -> dict[str, Tensor]:
    mp.backward(losses, model.partition, method, geometry=geometry)
    return {
        name.replace(".encoder.", "."): parameter.grad
        for name, parameter in model.named_parameters()
    }


@every_method
@with_and_without_geometry
@wrapped_by
def test_recomputed_activations(
    wrapper: type[Whole], method: mp.Method, geometry: mp.Geometry | None
) -> None:
    plain, model = both(wrapper, reentrant=False)
    got, want = (step(net, net.losses(net.batch()), method, geometry) for net in (model, plain))
    assert apart(got, want) == 0
    assert wrapper is Segments or all(encoder.runs > 1 for encoder in model.encoders.values())


@wrapped_by
def test_reentrant_checkpoints_are_refused(wrapper: type[Whole]) -> None:
    model = both(wrapper, reentrant=True)[1]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    calls: list[Callable[[dict[str, Tensor]], object]] = [
        lambda losses: mp.backward(losses, model.partition, mp.MMPareto()),
        lambda losses: mp.backward(losses, model.partition, mp.Uniform(), geometry=None),
        mp.Accumulation(model.partition, mp.MMPareto()).add,
        mp.BalancedLoss(model.partition, mp.MMPareto()),
    ]
    for call in calls:
        with pytest.raises(mp.MMParetoError, match=r"should not be reentrant.*use_reentrant=False"):
            call(model.losses(model.batch()))
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


@every_method
@wrapped_by
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_recomputed_under_autocast(
    dtype: torch.dtype, wrapper: type[Whole], method: mp.Method
) -> None:
    """The recomputation runs in the precision of the forward pass though the step is outside of
    autocast.
    """
    results = []
    for net in both(wrapper, reentrant=False, dtype=torch.float32):
        with torch.autocast("cpu", dtype=dtype):
            losses = net.losses(net.batch())
        results.append(step(net, losses, method))
    assert apart(*reversed(results)) == 0


class Copies:
    """Keeps copies of activations and counts how often they come back."""

    def __init__(self) -> None:
        self.back = 0

    def pack(self, x: Tensor) -> Tensor:
        return x.detach().clone()

    def unpack(self, x: Tensor) -> Tensor:
        self.back += 1
        return x


@every_method
@with_and_without_geometry
def test_activations_kept_elsewhere(method: mp.Method, geometry: mp.Geometry | None) -> None:
    model = LateFusion("audio", "visual")
    want = step(model, model.losses(model.batch()), method, geometry)
    copies = Copies()
    for hooks in (saved_tensors_hooks(copies.pack, copies.unpack), save_on_cpu()):
        model.zero_grad()
        with hooks:
            losses = model.losses(model.batch())
        assert apart(step(model, losses, method, geometry), want) == 0
    assert copies.back > 0


def keep_products(context: object, operation: object, *_: object, **__: object) -> CheckpointPolicy:
    if operation is torch.ops.aten.addmm.default:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE


class Selective(nn.Module):
    """Keeps the results of matrix products alone."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        contexts = partial(create_selective_checkpoint_contexts, keep_products)
        return checkpoint(self.encoder, x, use_reentrant=False, context_fn=contexts)


def selective() -> LateFusion:
    model = LateFusion("audio", "visual")
    for name, encoder in model.encoders.items():
        model.encoders[name] = Selective(encoder)
    return model


def test_selective_checkpoints_are_refused_where_they_are_passed_again() -> None:
    """PyTorch allows a single pass through them."""
    model = selective()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    calls: list[Callable[[dict[str, Tensor]], object]] = [
        lambda losses: mp.backward(losses, model.partition, mp.MMPareto()),
        lambda losses: mp.backward(losses, model.partition, mp.Uniform()),
        mp.Accumulation(model.partition, mp.MMPareto()).add,
        lambda losses: mp.BalancedLoss(model.partition, mp.MMPareto())(losses).backward(),
    ]
    for call in calls:
        with pytest.raises(
            mp.MMParetoError, match=r"allow several backward passes.*without `context_fn`"
        ):
            call(model.losses(model.batch()))
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


def test_selective_checkpoints_may_be_passed_once() -> None:
    model, plain = selective(), LateFusion("audio", "visual")
    got, want = (step(net, net.losses(net.batch()), mp.Uniform(), None) for net in (model, plain))
    assert apart(got, want) == 0
