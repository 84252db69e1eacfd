"""A loss for loops that call ``loss.backward()`` themselves: it is `mp.backward` in another
place.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion, every_method, with_and_without_geometry


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def direct(
    model: LateFusion, method: mp.Method, factor: float = 1.0, **options: bool
) -> list[Tensor]:
    """What `mp.backward` writes into an equal model."""
    other = copy.deepcopy(model)
    losses = {name: factor * loss for name, loss in other.losses(other.batch()).items()}
    mp.backward(losses, other.partition, method, **options)
    return [parameter.grad for parameter in other.parameters()]


def equal(model: LateFusion, want: list[Tensor]) -> bool:
    return all(
        torch.equal(parameter.grad, gradient)
        for parameter, gradient in zip(model.parameters(), want, strict=True)
    )


@every_method
@with_and_without_geometry
def test_bit_for_bit(model: LateFusion, method: mp.Method, geometry: mp.Geometry | None) -> None:
    balanced = mp.BalancedLoss(model.partition, method, geometry=geometry)
    losses = model.losses(model.batch())
    loss = balanced(losses)
    assert loss.shape == ()
    assert torch.isclose(loss, sum(losses.values()), rtol=1e-14)
    assert len(balanced.report) == 0
    loss.backward()
    assert equal(model, direct(model, method, geometry=geometry))
    assert (len(balanced.report) == 2) == (
        geometry is not None or not isinstance(method, mp.LossWeighting)
    )


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("factor", [2.0**10, 0.25, 3.0])
def test_factors_reach_every_objective(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None, factor: float
) -> None:
    balanced = mp.BalancedLoss(model.partition, method, geometry=geometry)
    want = direct(model, method, factor, geometry=geometry)
    (balanced(model.losses(model.batch())) * factor).backward()
    assert equal(model, want)
    model.zero_grad()
    balanced(model.losses(model.batch())).backward(
        gradient=torch.tensor(factor, dtype=torch.float64)
    )
    assert equal(model, want)
    assert any(
        not torch.equal(gradient, once)
        for gradient, once in zip(want, direct(model, method), strict=True)
    )


def test_report_is_that_of_the_last_step(model: LateFusion) -> None:
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto())
    for seed in range(2):
        losses = model.losses(model.batch(seed))
        want = mp.backward(losses, model.partition, mp.MMPareto(), retain_graph=True)
        balanced(losses).backward()
        for name, encoder in want.items():
            assert balanced.report[name].objectives == encoder.objectives
            assert torch.equal(balanced.report[name].gramian, encoder.gramian)


def test_errors_come_at_the_call(model: LateFusion) -> None:
    losses = model.losses(model.batch())
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto())
    for bad in (
        {},
        losses | {"audio": losses["audio"].detach()},
        losses | {"audio": losses["audio"].repeat(2)},
        [1.0],
    ):
        with pytest.raises(mp.MMParetoError, match=r"[Ll]oss"):
            balanced(bad)
    for arguments in (({}, mp.MMPareto()), (model.partition, "mmpareto")):
        with pytest.raises(mp.MMParetoError, match=r"`(encoders|method)`"):
            mp.BalancedLoss(*arguments)
    with pytest.raises(mp.MMParetoError, match=r"without a graph.*no_grad"), torch.no_grad():
        balanced(model.losses(model.batch()))


def test_a_method_that_misses_its_objective_changes_nothing(model: LateFusion) -> None:
    losses = model.losses(model.batch())
    del losses["joint"]
    with pytest.raises(mp.MMParetoError, match="should have the key 'joint'"):
        mp.BalancedLoss(model.partition, mp.Joint())(losses).backward()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("retain_graph", [False, True])
def test_second_backward_is_refused(model: LateFusion, retain_graph: bool) -> None:
    """And adds nothing to what the first one wrote."""
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch()))
    loss.backward(retain_graph=retain_graph)
    want = [parameter.grad.clone() for parameter in model.parameters()]
    with pytest.raises(
        mp.MMParetoError, match=r"differentiated once\. Found a second backward pass"
    ):
        loss.backward()
    assert equal(model, want)


@every_method
def test_under_no_grad(model: LateFusion, method: mp.Method) -> None:
    """A loss made with gradients may be called upon, and differentiated, where they are off."""
    balanced = mp.BalancedLoss(model.partition, method)
    loss = balanced(model.losses(model.batch()))
    with torch.no_grad():
        loss.backward()
    assert equal(model, direct(model, method))
    losses = model.losses(model.batch())
    with torch.no_grad():
        value = balanced(losses)
    assert not value.requires_grad  # as any loss computed there
    assert torch.isclose(value, sum(losses.values()), rtol=1e-14)


def test_types_of_losses_may_differ(model: LateFusion) -> None:
    def mixed(net: LateFusion) -> dict[str, Tensor]:
        losses = net.losses(net.batch())
        return {
            "joint": losses["joint"].bfloat16(),
            "audio": losses["audio"].float()[None],
            "visual": losses["visual"],
        }

    other = copy.deepcopy(model)
    mp.backward(mixed(other), other.partition, mp.MMPareto())
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(mixed(model))
    assert loss.dtype == torch.float64
    assert torch.isclose(loss, sum(value.double().sum() for value in mixed(model).values()))
    loss.backward()
    for parameter, twin in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(parameter.grad, twin.grad, rtol=1e-12, atol=1e-15)


def test_unrelated_leaves_are_left_alone(model: LateFusion) -> None:
    frozen, unused, regulariser = (
        nn.Linear(2, 2).requires_grad_(False),
        nn.Linear(2, 2),
        nn.Parameter(torch.ones(2)),
    )
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch()))
    (loss + regulariser.square().sum()).backward()  # what is added to the loss is autograd's affair
    assert torch.equal(regulariser.grad, 2 * torch.ones(2))
    assert all(parameter.grad is None for parameter in [*frozen.parameters(), *unused.parameters()])
    assert equal(model, direct(model, mp.MMPareto()))


def test_gradient_with_respect_to_inputs_is_not_lost(model: LateFusion) -> None:
    """A leaf that the losses reach receives the plain sum, as from `mp.backward`."""
    batch = model.batch()
    batch["audio"].requires_grad_()
    losses = model.losses(batch)
    (want,) = torch.autograd.grad(sum(losses.values()), [batch["audio"]], retain_graph=True)
    mp.BalancedLoss(model.partition, mp.MMPareto())(losses).backward()
    assert torch.allclose(batch["audio"].grad, want, rtol=1e-12)
