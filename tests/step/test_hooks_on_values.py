"""Hooks of values and modules act once on each objective's gradient, wherever passes are shared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion


def doubled(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else 2 * gradient for gradient in gradients)


def on_tensor(module: nn.Module, inputs: object, output: Tensor) -> None:
    output.register_hook(lambda gradient: gradient * 2)


def on_node(module: nn.Module, inputs: object, output: Tensor) -> None:
    output.grad_fn.register_prehook(doubled)


def on_both(module: nn.Module, inputs: object, output: Tensor) -> None:
    on_node(module, inputs, output)
    on_tensor(module, inputs, output)
    output.grad_fn.register_hook(lambda gradients, _: doubled(gradients))


def on_module(module: nn.Module) -> None:
    module.register_full_backward_pre_hook(lambda _, gradients: doubled(gradients))


KINDS = {
    "tensor": lambda module: module.register_forward_hook(on_tensor),
    "function": lambda module: module.register_forward_hook(on_node),
    "all at once": lambda module: module.register_forward_hook(on_both),
    "module": on_module,
}
GEOMETRIES = {
    "every": lambda model: mp.Geometry(every=2),
    "probe": lambda model: mp.Geometry(probe={"audio": model.encoders["audio"][2]}),
}


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.parametrize("layer", [0, 1, 2], ids=["bottom", "middle", "top"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_hooks_act_once(kind: str, geometry: str, layer: int) -> None:
    model = LateFusion("audio", "visual")
    install: Callable[[nn.Module], object] = KINDS[kind]
    install(model.encoders["audio"][layer])
    measuring = GEOMETRIES[geometry](model)
    report = mp.backward(
        model.losses(model.batch()), model.partition, mp.MMPareto(), geometry=measuring
    )
    model.zero_grad()
    mp.backward(model.losses(model.batch(1)), model.partition, mp.MMPareto(), geometry=measuring)
    if geometry == "probe":
        report = measured(model)
    losses = model.losses(model.batch(1))
    audio = report["audio"].weights
    scaled = audio["joint"] * losses["joint"] + audio["audio"] * losses["audio"]
    parameters = list(model.encoders["audio"].parameters())
    want = torch.autograd.grad(scaled, parameters)
    for parameter, gradient in zip(parameters, want, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-15)


def measured(model: LateFusion) -> mp.StepReport:
    """The geometry on the probe, by passes through everything."""
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    probe = mp.Geometry(probe={"audio": model.encoders["audio"][2]})
    accumulation = mp.Accumulation(model.partition, mp.MMPareto(), geometry=probe)
    accumulation.add(model.losses(model.batch(1)))
    report = accumulation.backward()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    return report
