"""The two ways to an objective's gradient are one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from loop_cases import CASES
from mmpareto.distributed import Communicator
from mmpareto.gradients import collect, collect_by_backward
from networks import every_method

SMALL = [name for name in CASES if "16" not in name and "32" not in name]


def parameters(model: nn.Module) -> list[Tensor]:
    torch.manual_seed(1)
    found = list(model.parameters())
    for parameter in found[::2]:  # some have a gradient already
        parameter.grad = torch.randn_like(parameter)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_same_gradients_to_the_bit(name: str) -> None:
    case = CASES[name]()
    leaves = parameters(case.model)
    kept = [
        (parameter.grad, None if parameter.grad is None else parameter.grad.clone())
        for parameter in leaves
    ]
    for seed in range(2):
        losses, again = case.losses(seed), case.losses(seed)
        for objective, loss in losses.items():
            one, _ = collect(loss, leaves, retain_graph=True)
            other = collect_by_backward(again[objective], leaves, retain_graph=True)
            assert list(one) == list(other) == leaves
            for parameter in leaves:
                both = one[parameter], other[parameter]
                assert torch.equal(*both) if None not in both else both == (None, None)
            assert any(gradient is not None for gradient in one.values())
    for parameter, (gradient, copy) in zip(leaves, kept, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or torch.equal(gradient, copy)


@every_method
@pytest.mark.parametrize(
    "name", ["3 modalities", "dense interaction of 3", "trunk", "weights tied to a head"]
)
def test_same_step(name: str, method: mp.Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collected by ``.backward()``, where every objective is taken to reach everything."""
    steps = []
    for by_backward in (False, True):
        if by_backward:
            monkeypatch.setattr(
                "mmpareto.distributed._communicator.collect",
                lambda loss, leaves, edges, **kept: (collect_by_backward(loss, leaves, **kept), []),
            )
        case = CASES[name]()
        mp.backward(case.losses(0), case.encoders, method)
        steps.append([parameter.grad for parameter in case.model.parameters()])
    assert Communicator.collect.__globals__["collect"] is not collect
    assert all(torch.equal(one, other) for one, other in zip(*steps, strict=True))


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        raise RuntimeError("no gradient")


@pytest.mark.parametrize(
    "collector", [collect, collect_by_backward], ids=["collect", "collect_by_backward"]
)
def test_grad_is_as_before_upon_an_exception(collector: object) -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    leaves = [*parameters(first), *parameters(second)]
    before = [parameter.grad for parameter in leaves]
    values = [None if gradient is None else gradient.clone() for gradient in before]
    loss = second(
        Fails.apply(first(torch.ones(2, 3)))
    ).sum()  # gradients of the second have come by then
    with pytest.raises(RuntimeError, match="no gradient"):
        collector(loss, leaves, retain_graph=False)
    for parameter, gradient, value in zip(leaves, before, values, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or torch.equal(gradient, value)


def test_sparse_gradients_are_refused_by_both() -> None:
    embedding = nn.Embedding(4, 2, sparse=True)
    before = embedding.weight.grad = torch.ones(4, 2)
    for collector in (collect, collect_by_backward):
        with pytest.raises(mp.MMParetoError, match="Found a sparse one"):
            collector(embedding(torch.tensor([1])).sum(), [embedding.weight], retain_graph=False)
        assert embedding.weight.grad is before
