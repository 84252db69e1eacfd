"""A step never waits for the device: it computes nothing on the host, and runs where there are no
values at all.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import mmpareto as mp
from families import gradients, step
from networks import LateFusion, every_exported_method, with_and_without_geometry

every_solver = pytest.mark.parametrize(
    "m", [1, 2, 3, 10], ids=["one", "closed-form", "faces", "active-set"]
)

WAITS = {
    *(
        "_local_scalar_dense",
        "is_nonzero",
        "item",
        "equal",
        "allclose",
        "nonzero",
        "nonzero_numpy",
        "masked_select",
    ),
    *("unique_dim", "_unique2", "_unique", "_linalg_check_errors", "bincount"),
}


class NoWaiting(TorchDispatchMode):
    """Refuses whatever makes the host wait for a device: reading values, and shapes that depend on
    values.
    """

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        name = func.overloadpacket.__name__
        masks = name.startswith("index") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool
            for argument in args[1:]
            if isinstance(argument, list | tuple)
            for index in argument
        )
        to_host = name == "_to_copy" and (kwargs or {}).get("device") == torch.device("cpu")
        if name in WAITS or masks or to_host:
            raise AssertionError(f"aten::{name} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.linalg.solve(torch.diag(x), x),
        lambda x: x.cpu() if x.is_cuda else x.to("cpu", copy=True),
        lambda x: torch.equal(x, x),
    ],
)
def test_the_guard_refuses_waiting(wait: object) -> None:
    with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
        wait(torch.ones(2))


@every_solver
@every_exported_method
@with_and_without_geometry
def test_step_does_not_wait(method: mp.Method, m: int, geometry: mp.Geometry | None) -> None:
    g = gradients("generic", m)
    with NoWaiting():
        _, report = step(g, method, geometry=geometry)
        report.scalars()


@every_solver
@every_exported_method
@with_and_without_geometry
def test_step_needs_no_values(method: mp.Method, m: int, geometry: mp.Geometry | None) -> None:
    h, report = step(gradients("generic", m).to("meta"), method, geometry=geometry)
    assert h.is_meta
    assert all(scalar.is_meta for scalar in report.scalars().values())


@every_exported_method
def test_a_model_can_be_stepped_without_values(method: mp.Method) -> None:
    model = LateFusion("audio", "visual", "text")
    batch = {name: x.to("meta") for name, x in model.batch().items()}
    model.to("meta")
    mp.backward(model.losses(batch), model.partition, method)
    assert all(p.grad.shape == p.shape and p.grad.is_meta for p in model.parameters())
