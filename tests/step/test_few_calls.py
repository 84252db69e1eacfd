"""What a step dispatches beyond its passes does not grow with the number of tensors.

Counted on ``meta``, where buckets are as large as on an accelerator. Of what is counted, the
weights are about half.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from dispatched import Dispatched

MIB = 2**20


class Beside(Dispatched):
    """Counts what is not in a pass through the graph."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.passing, differentiate = False, torch.autograd.grad

        def grad(*arguments: object, **options: object) -> object:
            self.passing = True
            try:
                return differentiate(*arguments, **options)
            finally:
                self.passing = False

        monkeypatch.setattr(torch.autograd, "grad", grad)

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if self.passing:
            return func(*args, **(kwargs or {}))
        return super().__torch_dispatch__(func, types, args, kwargs)


def encoders(tensors: int, size: int, dtype: torch.dtype) -> dict[str, list[nn.Parameter]]:
    """Two of as many bytes each, whatever the number of their tensors."""
    shape = (size // tensors // dtype.itemsize,)
    return {
        name: [nn.Parameter(torch.empty(shape, dtype=dtype, device="meta")) for _ in range(tensors)]
        for name in ("audio", "visual")
    }


def losses(of: dict[str, list[nn.Parameter]]) -> dict[str, Tensor]:
    each = {name: sum(p.square().sum() for p in encoder) for name, encoder in of.items()}
    return {"joint": sum(each.values()) * 2, **each}


def beside(
    monkeypatch: pytest.MonkeyPatch,
    of: dict[str, list[nn.Parameter]],
    method: mp.Method,
    geometry: mp.Geometry | None = None,
) -> Beside:
    counted = Beside(monkeypatch)
    objectives = losses(of)
    with counted:
        mp.backward(objectives, of, method, geometry=geometry or mp.Geometry())
    monkeypatch.undo()
    return counted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", [mp.MMPareto(), mp.MGDA()], ids=str)
def test_calls_do_not_grow_with_tensors(
    monkeypatch: pytest.MonkeyPatch, method: mp.Method, dtype: torch.dtype
) -> None:
    counts = set()
    for tensors in (16, 64, 256):
        counts.add(beside(monkeypatch, encoders(tensors, 16 * MIB, dtype), method).calls.total())
    assert len(counts) == 1
    assert counts.pop() <= 60


def test_calls_grow_with_buckets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four more for each: one that fills it, two for products, one for the sum."""
    one, four = (
        beside(monkeypatch, encoders(64, size * 2**25, torch.float32), mp.MMPareto())
        for size in (1, 4)
    )
    assert four.calls.total() - one.calls.total() <= 2 * 3 * 4


def test_each_tensor_has_a_gramian_where_a_method_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    of = encoders(64, MIB, torch.float32)
    assert beside(monkeypatch, of, mp.MMPareto(granularity="tensor")).calls["dot"] == 2 * 64 * 3
    assert beside(monkeypatch, of, mp.MMPareto()).calls["dot"] <= 4  # of the weights


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 12), (torch.bfloat16, 35)], ids=str)
def test_operand_bytes(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, most: int) -> None:
    """In units of the encoders' gradients: 4 to fill buckets, 5 for products, 3 for the sum.

    Below it are 5, if gradients came side by side: no function of PyTorch multiplies the tensors of
    two lists pair by pair and adds up.
    """
    of = encoders(256, 64 * MIB, dtype)
    moved = beside(monkeypatch, of, mp.MMPareto()).moved.total()
    assert moved <= (most + 0.01) * 2 * 64 * MIB


def test_channels_last_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.empty(2, 3, 5, 5, device="meta").to(memory_format=torch.channels_last)
    net = nn.Conv2d(3, 4, 3, device="meta").to(memory_format=torch.channels_last)
    objectives = {"joint": net(images).square().mean(), "audio": net(images).mean()}
    counted = Beside(monkeypatch)
    with counted:
        mp.backward(objectives, {"audio": net}, mp.MMPareto())
    assert not counted.calls.keys() & {"clone", "copy_"}
    assert net.weight.grad.stride() == net.weight.stride()
