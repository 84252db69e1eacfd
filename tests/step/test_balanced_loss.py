"""A loss for loops that call ``loss.backward()`` themselves: it is `mp.backward` in another
place.
"""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass

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


# Arguments of ``backward`` that would pass a balanced step by.

DERIVED = {
    "itself": lambda loss: loss,
    "scaled by a loss scaler": lambda loss: torch.amp.GradScaler("cpu").scale(loss),
    "divided": lambda loss: loss / 2,
    "from the left": lambda loss: 2 * loss,
    "added to": lambda loss: loss + torch.ones((), requires_grad=True, dtype=torch.float64),
    "stacked": lambda loss: torch.stack([loss, loss.detach()]).sum(),
    "cast": lambda loss: loss.float(),
}
derived = pytest.mark.parametrize("made", DERIVED.values(), ids=DERIVED)


@derived
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"inputs": True}, r"for all parameters\. Found backward\(inputs=\.\.\.\)"),
        ({"create_graph": True}, r"has no graph of its own\. Found create_graph=True"),
    ],
    ids=["inputs", "create_graph"],
)
@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
def test_arguments_that_pass_it_by_are_refused(
    model: LateFusion, arguments: dict[str, object], match: str, made: Callable[[Tensor], Tensor]
) -> None:
    loss = made(mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch())))
    if "inputs" in arguments:
        arguments = {"inputs": list(model.parameters())}
    with pytest.raises(mp.MMParetoError, match=match):
        loss.backward(**arguments)
    assert all(parameter.grad is None for parameter in model.parameters())


@derived
def test_what_is_computed_from_it_behaves_as_a_tensor(
    model: LateFusion, made: Callable[[Tensor], Tensor]
) -> None:
    loss = made(mp.BalancedLoss(model.partition, mp.MMPareto())(model.losses(model.batch())))
    assert loss.requires_grad
    assert not loss.detach().requires_grad
    assert loss.item() == float(loss.detach())
    loss.backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


# Further terms of one graph.


def with_term(model: LateFusion, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Losses, and a term that shares the audio encoder's graph with them."""
    feature = model.encoders["audio"](batch["audio"])
    visual = model.encoders["visual"](batch["visual"])
    joint = model.joint(torch.cat([feature, visual], 1))
    losses = {"joint": joint.square().mean(), "audio": (feature - 1).square().mean()}
    losses["visual"] = model.heads["visual"](visual).square().mean()
    return losses, 0.1 * feature.exp().mean()


@every_method
@pytest.mark.parametrize("retain_graph", [False, True])
@pytest.mark.parametrize("order", ["loss first", "term first"])
def test_a_term_of_the_same_graph_may_be_added(
    model: LateFusion, order: str, retain_graph: bool, method: mp.Method
) -> None:
    """As the auxiliary loss of a mixture of experts: its gradient is added to the balanced one."""
    other = copy.deepcopy(model)
    losses, term = with_term(other, other.batch())
    term.backward(retain_graph=True)
    mp.backward(losses, other.partition, method)
    losses, term = with_term(model, model.batch())
    loss = mp.BalancedLoss(model.partition, method)(losses)
    (loss + term if order == "loss first" else term + loss).backward(retain_graph=retain_graph)
    for parameter, twin in zip(model.parameters(), other.parameters(), strict=True):
        if twin.grad is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-12, atol=1e-14)
    if retain_graph:
        term.backward()  # the graph is there still


def test_a_loss_and_terms_in_a_scaled_sum(model: LateFusion) -> None:
    other = copy.deepcopy(model)
    losses, term = with_term(other, other.batch())
    (4 * term).backward(retain_graph=True)
    mp.backward({name: 4 * loss for name, loss in losses.items()}, other.partition, mp.MMPareto())
    losses, term = with_term(model, model.batch())
    (4 * (mp.BalancedLoss(model.partition, mp.MMPareto())(losses) + term)).backward()
    for parameter, twin in zip(model.parameters(), other.parameters(), strict=True):
        if twin.grad is not None:
            torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-12, atol=1e-14)
    assert sum(parameter.grad is not None for parameter in model.parameters()) > 10


@dataclass(eq=False)
class Saved:
    """A tensor that a forward pass saves for the backward pass."""

    tensor: Tensor


@pytest.mark.parametrize(
    ("term", "retain_graph", "kept"),
    [
        ("none", False, False),
        ("none", True, True),
        ("of another graph", False, False),
        ("of the same graph", False, False),
        ("of the same graph", True, True),
    ],
)
def test_graphs_are_freed_unless_asked_for(
    model: LateFusion, term: str, retain_graph: bool, kept: bool
) -> None:
    """Also where two terms pass one: the second frees what the first had to leave."""
    saved: weakref.WeakSet[Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Saved:
        one = Saved(tensor)
        saved.add(one)
        return one

    batch = model.batch()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one.tensor):
        features = model.features(batch)
    losses = {name: model.heads[name](x).square().mean() for name, x in features.items()}
    losses["joint"] = model.joint(torch.cat(list(features.values()), 1)).square().mean()
    loss = mp.BalancedLoss(model.partition, mp.MMPareto())(losses)
    if term == "of another graph":
        loss = loss + nn.Parameter(torch.ones((), dtype=torch.float64)).square()
    elif term == "of the same graph":
        loss = loss + sum(feature.square().mean() for feature in features.values())
    before = len(saved)
    loss.backward(retain_graph=retain_graph)
    gc.collect()
    assert before > 4
    assert len(saved) == (before if kept else 0)
