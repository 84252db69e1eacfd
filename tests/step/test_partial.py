"""Steps in which something is absent: a modality, a trainable parameter, a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion, every_method, plain_gradients, with_and_without_geometry


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


@every_method
@with_and_without_geometry
def test_missing_modality_leaves_its_encoder_alone(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    batch = model.batch()
    audio = model.encoders["audio"](batch["audio"])
    fused = model.joint(torch.cat([audio, torch.zeros_like(audio)], 1))
    losses = {"joint": fused.square().mean(), "audio": model.heads["audio"](audio).square().mean()}
    report = mp.backward(losses, model.partition, method, geometry=geometry)
    assert "visual" not in report
    assert all(
        p.grad is None
        for p in [*model.encoders["visual"].parameters(), *model.heads["visual"].parameters()]
    )
    assert all(p.grad.any() for p in model.encoders["audio"].parameters())


@pytest.mark.parametrize(
    ("method", "factor"), [(mp.MMPareto(1.5), 1.5), (mp.MGDA(), 1.0), (mp.Uniform(), 1.0)]
)
def test_encoder_with_the_joint_loss_only_follows_it(
    model: LateFusion, method: mp.Method, factor: float
) -> None:
    losses = model.losses(model.batch())
    del losses["visual"]
    expected = plain_gradients(model, losses["joint"])
    report = mp.backward(losses, model.partition, method)
    assert report["visual"].objectives == ("joint",)
    for name, parameter in model.named_parameters():
        if name.startswith("encoders.visual"):
            assert torch.allclose(parameter.grad, factor * expected[name], rtol=1e-12)


@every_method
@with_and_without_geometry
def test_frozen_encoder_is_skipped(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """Its head and the other encoder receive what they would without freezing."""
    mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.encoders["visual"].requires_grad_(False)
    report = mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert "visual" not in report
    for name, parameter in model.named_parameters():
        if name.startswith("encoders.visual"):
            assert parameter.grad is None
        else:
            assert torch.equal(parameter.grad, expected[name]), name


@every_method
def test_frozen_layer_takes_no_part_in_the_geometry(model: LateFusion, method: mp.Method) -> None:
    first, last = model.encoders["audio"][0], model.encoders["audio"][2]
    first.requires_grad_(False)
    visual = model.encoders["visual"]
    whole = mp.backward(
        model.losses(model.batch()), {"audio": model.encoders["audio"], "visual": visual}, method
    )
    received = [parameter.grad for parameter in last.parameters()]
    model.zero_grad()
    part = mp.backward(model.losses(model.batch()), {"audio": last, "visual": visual}, method)
    assert torch.equal(whole["audio"].gramian, part["audio"].gramian)
    assert all(
        torch.equal(p.grad, grad) for p, grad in zip(last.parameters(), received, strict=True)
    )
    assert all(parameter.grad is None for parameter in first.parameters())


def test_parameter_that_one_objective_misses_counts_as_zero_there() -> None:
    """What the unimodal loss does not reach receives the joint gradient at its weight."""
    shared, private = (
        nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64)) for _ in range(2)
    )
    losses = {"joint": (3 * shared + 4 * private).sum(), "audio": -shared.sum()}
    report = mp.backward(losses, {"audio": [shared, private]}, mp.MMPareto(gamma=1.0))["audio"]
    assert torch.equal(
        report.gramian, torch.tensor([[50.0, -6.0], [-6.0, 2.0]], dtype=torch.float64)
    )
    joint, audio = report.applied
    assert torch.equal(shared.grad, (3 * joint - audio).expand(2))
    assert torch.equal(private.grad, (4 * joint).expand(2))


class Verbose(torch.autograd.Function):
    """Identity whose context carries attributes under the names of an autograd node's own."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.name, ctx.variable = "verbose", x.detach()
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


def test_context_of_a_custom_function_is_no_parameter() -> None:
    encoder = nn.Linear(3, 2)
    losses = {"joint": Verbose.apply(encoder(torch.ones(4, 3))).mean()}
    expected = torch.autograd.grad(losses["joint"], encoder.weight, retain_graph=True)[0]
    mp.backward(losses, {"audio": encoder}, mp.Uniform())
    assert torch.equal(encoder.weight.grad, expected)


class Stop(torch.autograd.Function):
    """Identity that passes no gradient on, as "none" in place of zero."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> None:
        return None


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("stopped", [["joint"], ["audio"], ["joint", "audio"]], ids=str)
def test_gradient_stopped_by_a_custom_function(
    stopped: list[str], method: mp.Method, geometry: mp.Geometry | None
) -> None:
    encoder, head = nn.Linear(3, 2).double(), nn.Linear(2, 1).double()
    feature = encoder(torch.ones(4, 3, dtype=torch.float64))
    losses = {
        name: head(Stop.apply(feature) if name in stopped else feature).mean()
        for name in ("joint", "audio")
    }
    mp.backward(losses, {"audio": encoder}, method, geometry=geometry)
    assert torch.equal(head.bias.grad, torch.tensor([2.0], dtype=torch.float64))
    if len(stopped) == 2 or (method == mp.Joint() and "joint" in stopped):
        assert encoder.weight.grad is None
    else:
        assert encoder.weight.grad.any()
        assert encoder.weight.grad.isfinite().all()
