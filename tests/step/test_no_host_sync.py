"""A step never waits for the device: it computes nothing on the host, and runs where there are no
values at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import mmpareto as mp
from dispatched import count
from families import gradients, step
from mmpareto.diagnostics import GeometryLog
from networks import LateFusion, every_exported_method, with_and_without_geometry

every_solver = pytest.mark.parametrize(
    "m", [1, 2, 3, 7, 10], ids=["one", "closed-form", "three", "seven", "ten"]
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


READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"}
MAKES = {"tensor", "as_tensor", "asarray", "from_numpy", "new_tensor"}


class NoCopying(TorchFunctionMode):
    """Refuses what the dispatcher does not show: numbers of the host that are copied to a device
    when a tensor is made of them, as of a list that is an index, and values that are read.
    """

    def __torch_function__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        name = func.__name__
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            plain = all(
                x is None or x is ... or (isinstance(x, int | slice) and not isinstance(x, bool))
                for x in index
            )
            # An index that is a tensor is looked at where it is dispatched.
            copied = not plain and not all(isinstance(x, Tensor | int | slice) for x in index)
            copied |= name == "__setitem__" and not isinstance(args[2], Tensor)
        else:
            copied = name in READS | MAKES
        if copied:
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting() -> Iterator[None]:
    """Refuses what either guard refuses."""
    with NoCopying(), NoWaiting():
        yield


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x[[0, 1]],
        lambda x: x.view(1, 2)[:, [1]],  # as in the Gramians of a released version
        lambda x: x[np.array([0])],
        lambda x: x.__setitem__([0], x[:1]),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: torch.tensor([1.0]),
        lambda x: torch.as_tensor([1.0]),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.tolist(),
        lambda x: float(x[0]),
        lambda x: bool(x[0]),
        lambda x: x.numpy(),
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
    with pytest.raises(AssertionError, match="waits for the device"), no_waiting():
        wait(torch.ones(2))


@every_solver
@every_exported_method
@with_and_without_geometry
def test_step_does_not_wait(method: mp.Method, m: int, geometry: mp.Geometry | None) -> None:
    g = gradients("generic", m)
    with no_waiting():
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


WAYS = ["accumulated", "balanced loss", "every", "probe", "log"]


@every_exported_method
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_making_a_step_waits(method: mp.Method, way: str) -> None:
    model, log = LateFusion("audio", "visual", "text"), GeometryLog()
    shared = not getattr(method, "per_tensor", False)
    probe = {name: encoder[2] for name, encoder in model.encoders.items()}
    geometry = mp.Geometry(
        every=3 if way == "every" and shared else 1,
        probe=probe if way == "probe" and shared else None,
    )
    balanced = mp.BalancedLoss(model.partition, method)
    accumulation = mp.Accumulation(model.partition, method)
    for seed in range(4):
        losses = model.losses(model.batch(seed))
        with no_waiting():
            if way == "accumulated":
                accumulation.add(losses)
            elif way == "balanced loss":
                balanced(losses).backward()
            else:
                log.record(seed, mp.backward(losses, model.partition, method, geometry=geometry))
    if way == "accumulated":
        with no_waiting():
            accumulation.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_geometry_log_computes_nothing_until_it_is_read() -> None:
    model, log = LateFusion("audio", "visual"), GeometryLog()
    report = mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    recorded = count(lambda: log.record(1, report))
    assert recorded.calls.total() == 0
    (audio, _), encoder = log.rows(), report["audio"]
    assert audio.cosine == pytest.approx(encoder.cosine.item())
    assert audio.norm_joint == pytest.approx(encoder.norms["joint"].item())
