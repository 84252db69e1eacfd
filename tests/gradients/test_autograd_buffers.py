"""Gradients of unusual make: shared, expanded or strided buffers, low precision, and how long they
live.
"""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import mmpareto as mp
from mmpareto.gradients import add
from networks import LateFusion, every_method, with_and_without_geometry


def parameter(*shape: int, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(
        torch.linspace(-1, 1, int(torch.Size(shape).numel()), dtype=dtype).reshape(shape)
    )


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("where", ["one encoder", "two encoders", "the rest", "encoder and rest"])
def test_one_buffer_for_two_parameters(
    where: str, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """Autograd hands out the gradient of p + q once for both."""
    p, q, other = parameter(3), parameter(3), parameter(3)
    mixed = p + q
    losses = {"joint": (mixed * other).sum(), "audio": mixed.square().sum() + other.sum()}
    encoders = {
        "one encoder": {"audio": [p, q]},
        "two encoders": {"audio": [p], "visual": [q]},
        "the rest": {"audio": [other]},
        "encoder and rest": {"audio": [p]},
    }[where]
    mp.backward(losses, encoders, method, geometry=geometry, retain_graph=True)
    assert p.grad.data_ptr() != q.grad.data_ptr()
    once = [x.grad.clone() for x in (p, q, other)]
    mp.backward(losses, encoders, method, geometry=geometry)
    for x, grad in zip((p, q, other), once, strict=True):
        assert torch.allclose(x.grad, 2 * grad, rtol=1e-12)


@pytest.mark.parametrize("kind", ["every", "probe"])
def test_one_buffer_for_two_parameters_below_a_shared_pass(kind: str) -> None:
    """Each has a ``.grad`` of its own, to which further steps are added."""
    p, q, top, head = parameter(3), parameter(3), parameter(3), parameter(3)
    geometry = mp.Geometry(every=3) if kind == "every" else mp.Geometry(probe={"audio": [top]})
    for _ in range(3):
        feature = (p + q).tanh() * top
        losses = {"joint": (feature * head).sum(), "audio": feature.square().sum()}
        for leaf in (p, q, top, head):
            leaf.grad = None
        mp.backward(
            losses, {"audio": [p, q, top]}, mp.MMPareto(), geometry=geometry, retain_graph=True
        )
        assert p.grad.data_ptr() != q.grad.data_ptr()
        once = [leaf.grad.clone() for leaf in (p, q)]
        mp.backward(losses, {"audio": [p, q, top]}, mp.Uniform())
        plain = feature_gradient(p, q, top, head)
        for leaf, gradient in zip((p, q), once, strict=True):
            torch.testing.assert_close(leaf.grad, gradient + plain, rtol=1e-12, atol=0)


def feature_gradient(p: Tensor, q: Tensor, top: Tensor, head: Tensor) -> Tensor:
    feature = (p + q).tanh() * top
    total = (feature * head).sum() + feature.square().sum()
    return torch.autograd.grad(total, p)[0]


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("inside", [True, False], ids=["encoder", "rest"])
def test_expanded_gradients_become_real_ones(
    inside: bool, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """The gradient of p.sum() is one number, expanded."""
    p, other = parameter(2, 3), parameter(2)
    losses = {"joint": p.sum() + other.sum(), "audio": 2 * p.sum() + other.sum()}
    mp.backward(losses, {"audio": [p] if inside else [other]}, method, geometry=geometry)
    before = p.grad.clone()
    p.grad[0, 0] += 1
    assert p.grad.is_contiguous()
    assert torch.equal((p.grad - before).flatten(), torch.eye(6, dtype=torch.float64)[0])


@with_and_without_geometry
@pytest.mark.parametrize("inside", [True, False], ids=["encoder", "rest"])
def test_memory_format_is_that_of_autograd(inside: bool, geometry: mp.Geometry | None) -> None:
    convolution, other = (
        nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
        parameter(1, dtype=torch.float32),
    )
    images = torch.ones(2, 3, 5, 5).to(memory_format=torch.channels_last)
    losses = {
        "joint": convolution(images).mean() * other.sum(),
        "audio": convolution(images).square().mean() + other.sum(),
    }
    (expected,) = torch.autograd.grad(losses["joint"], [convolution.weight], retain_graph=True)
    encoders = {"audio": convolution if inside else [other]}
    mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry)
    assert convolution.weight.grad.stride() == expected.stride()


@every_method
@with_and_without_geometry
def test_low_precision(method: mp.Method, geometry: mp.Geometry | None) -> None:
    """Gradients keep the parameters' precision; what is decided on is float32."""
    model, wide = LateFusion("audio", "visual", dtype=torch.bfloat16), LateFusion("audio", "visual")
    wide.load_state_dict(model.state_dict())
    batch = model.batch()
    report = mp.backward(model.losses(batch), model.partition, method, geometry=geometry)
    batch = {name: x.double() if x.is_floating_point() else x for name, x in batch.items()}
    mp.backward(wide.losses(batch), wide.partition, method, geometry=geometry)
    assert all(
        encoder.gramian.dtype == encoder.applied.dtype == torch.float32
        for encoder in report.values()
    )
    for narrow, exact in zip(model.parameters(), wide.parameters(), strict=True):
        assert narrow.grad.dtype == torch.bfloat16
        assert (narrow.grad - exact.grad).norm() <= 0.05 * exact.grad.norm()


@every_method
def test_precisions_may_differ_within_a_step(method: mp.Method) -> None:
    narrow, wide = parameter(3, dtype=torch.bfloat16), parameter(3, dtype=torch.float32)
    losses = {
        "joint": (narrow.float() * wide).sum(),
        "audio": (narrow.square().sum() + wide.bfloat16().sum()),
    }
    mp.backward(losses, {"audio": [narrow, wide]}, method)
    assert narrow.grad.dtype == torch.bfloat16
    assert wide.grad.dtype == torch.float32


def test_at_most_the_joint_gradient_and_one_other_are_alive() -> None:
    """At the time when an encoder is settled, no other holds more than one gradient: the joint one,
    or its result.
    """
    sizes = {"audio": 1001, "visual": 1002, "text": 1003}
    encoders = {name: [parameter(size)] for name, size in sizes.items()}
    values = {name: encoder[0].square() for name, encoder in encoders.items()}
    losses = {"joint": sum(value.sum() for value in values.values())} | {
        m: v.mean() for m, v in values.items()
    }
    alive: list[dict[str, int]] = []

    def weights(gramian: Tensor) -> Tensor:
        leaves = {id(p) for (p,) in encoders.values()} | {id(value) for value in values.values()}
        held = [x for x in gc.get_objects() if type(x) is Tensor and id(x) not in leaves]
        alive.append({name: sum(x.numel() == size for x in held) for name, size in sizes.items()})
        return torch.ones_like(gramian[0])

    mp.backward(losses, encoders, weights)
    assert alive == [
        {"audio": 2, "visual": 1, "text": 1},
        {"audio": 1, "visual": 2, "text": 1},
        {"audio": 1, "visual": 1, "text": 2},
    ]


class CountAlive(TorchDispatchMode):
    """Counts tensors of a size whenever one is added to another."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.counts = size, []

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if func is torch.ops.aten.addcmul_.default:
            self.counts.append(
                sum(type(x) is Tensor and x.numel() == self.size for x in gc.get_objects())
            )
        return func(*args, **(kwargs or {}))


def test_gradients_are_released_as_they_are_combined() -> None:
    """Of two objectives' gradients for four tensors two go, and one comes, at a time."""
    encoder = [parameter(10_001) for _ in range(4)]  # too large to share a bucket
    losses = {"joint": sum(p.sum() for p in encoder), "audio": sum(2 * p.sum() for p in encoder)}
    with CountAlive(10_001) as alive:
        mp.backward(losses, {"audio": encoder}, mp.MMPareto())
    assert alive.counts == [9, 8, 7, 6]


def test_running_sum_takes_each_weight_and_leaves_its_summands() -> None:
    p, gradient = parameter(2), torch.ones(2, dtype=torch.float64)
    total: dict[Tensor, Tensor] = {}
    for weight in (1.0, 2.0, 4.0):
        add(total, {p: gradient, parameter(2): None}, weight)
    assert torch.equal(total[p], 7 * gradient)
    assert torch.equal(gradient, torch.ones_like(gradient))
    assert len(total) == 1
