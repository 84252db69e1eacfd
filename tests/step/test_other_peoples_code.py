"""Situations of other people's training code: served as they should be, or refused unchanged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import mmpareto as mp
from networks import LateFusion


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def wanted(model: LateFusion, **settings: Any) -> list[Tensor]:
    """Gradients of a plain step."""
    mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(), **settings)
    result = gradients(model)
    model.zero_grad()
    return result


class WritesGrad(torch.autograd.Function):
    """Passes a layer again in its own backward pass, as reversible layers do."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.x, ctx.layer = x.detach(), layer
        return layer(x.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        with torch.enable_grad():
            x = ctx.x.requires_grad_()
            ctx.layer(x).backward(gradient)
        return x.grad, None


ENTRIES: dict[str, Callable[[mp.Partition, dict[str, Tensor]], object]] = {
    "backward": lambda partition, losses: mp.backward(losses, partition, mp.MMPareto()),
    "balanced": lambda partition, losses: mp.BalancedLoss(partition, mp.MMPareto())(
        losses
    ).backward(),
    "accumulation": lambda partition, losses: mp.Accumulation(partition, mp.MMPareto()).add(losses),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_functions_that_write_grad_are_refused(model: LateFusion, entry: str) -> None:
    (bottom, middle, top), batch = model.encoders["audio"], model.batch()
    audio = WritesGrad.apply(middle(bottom(batch["audio"])), top)
    visual = model.encoders["visual"](batch["visual"])
    joint = model.joint(torch.cat([audio, visual], 1))
    losses = {"joint": joint.mean(), "audio": audio.square().mean(), "visual": visual.mean()}
    before = torch.ones_like(top.weight)
    top.weight.grad = before
    with pytest.raises(mp.MMParetoError, match=r"wrote the `\.grad` of 2 parameters itself"):
        ENTRIES[entry](model.partition, losses)
    assert top.weight.grad is before
    assert before.eq(1).all()
    assert top.bias.grad is None


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_other_terms_may_be_added_to_a_balanced_loss(model: LateFusion, scale: float) -> None:
    want = wanted(model)
    feature = model.encoders["audio"](model.batch()["audio"])
    parameters = list(model.parameters())
    other = torch.autograd.grad(feature.square().mean(), parameters, allow_unused=True)
    batch = model.batch()
    audio, visual = model.features(batch).values()
    losses = {
        "joint": nn.functional.cross_entropy(
            model.joint(torch.cat([audio, visual], 1)), batch["label"]
        ),
        "audio": nn.functional.cross_entropy(model.heads["audio"](audio), batch["label"]),
        "visual": nn.functional.cross_entropy(model.heads["visual"](visual), batch["label"]),
    }
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto())
    ((balanced(losses) + audio.square().mean()) * scale).backward()
    for got, first, second in zip(gradients(model), want, other, strict=True):
        sum_of_both = first if second is None else first + second
        torch.testing.assert_close(got, scale * sum_of_both)


def test_derivatives_of_second_order_are_refused(model: LateFusion) -> None:
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch()))
    with pytest.raises(mp.MMParetoError, match="Found create_graph=True"):
        loss.backward(create_graph=True)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_encoder_that_got_new_parameters_is_refused(model: LateFusion) -> None:
    partition, ear = model.partition, model.encoders["audio"]
    ear.load_state_dict({k: v.clone() for k, v in ear.state_dict().items()}, assign=True)
    with pytest.raises(mp.MMParetoError, match=r"Found the parameter `encoders\.audio\.0\.weight`"):
        mp.backward(model.losses(model.batch()), partition, mp.MMPareto())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_optimizers_in_the_backward_pass_step_once(model: LateFusion) -> None:
    other = LateFusion("audio", "visual")
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def step(parameter: Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    plain = torch.optim.SGD(other.parameters(), lr=0.1)
    for geometry in (mp.Geometry(), None, mp.Geometry(probe={"audio": model.encoders["audio"][2]})):
        mp.backward(model.losses(model.batch()), model.partition, mp.Uniform(), geometry=geometry)
        plain.zero_grad()
        sum(other.losses(other.batch()).values()).backward()
        plain.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_autocast_does_not_reach_a_weighting_of_ones_own() -> None:
    model, seen = LateFusion("audio", dtype=torch.float32), []

    def weighting(gramian: Tensor) -> Tensor:
        seen.append(((gramian @ gramian).double(), gramian.double() @ gramian.double()))
        return torch.ones_like(gramian[0])

    for within in (False, True):
        losses = model.losses(model.batch())
        with torch.autocast("cpu", torch.bfloat16, enabled=within):
            mp.backward(losses, model.partition, weighting)
    for product, precise in seen:  # bfloat16 would have three digits
        torch.testing.assert_close(product, precise, rtol=1e-5, atol=0)


def test_selective_checkpoints_are_refused(model: LateFusion) -> None:
    batch, ear = model.batch(), model.encoders["audio"]
    contexts = partial(create_selective_checkpoint_contexts, [torch.ops.aten.addmm.default])
    audio = checkpoint(ear, batch["audio"], use_reentrant=False, context_fn=contexts)
    losses = {"joint": audio.mean(), "audio": audio.square().mean()}
    with pytest.raises(mp.MMParetoError, match="Found a selective one"):
        mp.backward(losses, {"audio": ear}, mp.MMPareto())
    assert all(parameter.grad is None for parameter in ear.parameters())


def test_lazy_encoders() -> None:
    ear, head = nn.LazyLinear(3), nn.Linear(3, 1)
    model = nn.ModuleList([ear, head])
    partition = mp.Partition(audio=ear)
    assert repr(partition) == "Partition(audio=not initialized)"
    geometry = mp.Geometry(every=2)
    for _ in range(2):
        feature = ear(torch.ones(2, 4))
        losses = {"joint": head(feature).mean(), "audio": feature.square().mean()}
        mp.backward(losses, partition, mp.MMPareto(), geometry=geometry)
    assert repr(partition) == "Partition(audio=15)"
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("entry", ["backward", "balanced"])
def test_a_step_inside_a_compiled_function(model: LateFusion, entry: str) -> None:
    want, partition, method = wanted(model), model.partition, mp.MMPareto()
    balanced, batch = mp.BalancedLoss(partition, method), model.batch()

    def step() -> None:
        if entry == "backward":
            mp.backward(model.losses(batch), partition, method)
        else:
            balanced(model.losses(batch)).backward()

    torch.compile(step, backend="eager")()
    for got, expected in zip(gradients(model), want, strict=True):
        torch.testing.assert_close(got, expected)


def test_what_is_not_finite_is_not_remembered(model: LateFusion) -> None:
    geometry, partition, method = mp.Geometry(every=3), model.partition, mp.MMPareto()
    mp.backward(model.losses(model.batch(0)), partition, method, geometry=geometry)
    for _ in range(2):
        mp.backward(model.losses(model.batch(1)), partition, method, geometry=geometry)
    spoiled = {name: loss * torch.inf for name, loss in model.losses(model.batch(1)).items()}
    assert mp.backward(spoiled, partition, method, geometry=geometry)
    model.zero_grad()
    assert not mp.backward(model.losses(model.batch(1)), partition, method, geometry=geometry)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("meant", "given"), [("audio", "audoi"), ("joint", "fusion"), ("visual", "picture")]
)
def test_names_that_are_meant_for_another_are_refused(
    model: LateFusion, meant: str, given: str
) -> None:
    losses = model.losses(model.batch())
    losses[given] = losses.pop(meant)
    with pytest.raises(mp.MMParetoError, match=f"key '{meant}'. Found '{given}'"):
        mp.backward(losses, model.partition, mp.MGDA())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_low_precision_is_rounded_once() -> None:
    """Two gradients that nearly cancel: the common direction is between them, also in bfloat16."""
    torch.manual_seed(0)
    encoder = nn.Parameter(torch.zeros(256, dtype=torch.bfloat16))
    one = torch.randn(256)
    other = (-one + 0.05 * torch.randn(256)).bfloat16()
    losses = {"joint": (encoder * one.bfloat16()).sum(), "audio": (encoder * other).sum()}
    report = mp.backward(losses, {"audio": [encoder]}, mp.MMPareto())
    assert report["audio"].cosine < -0.99
    for gradient in (one.bfloat16(), other):
        assert (encoder.grad.float() @ gradient.float()) > 0
