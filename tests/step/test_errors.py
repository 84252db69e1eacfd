"""What is refused, in which words, and that nothing was changed then."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import MEASURED, LateFusion

SENTINEL = 7.0


@pytest.fixture
def model() -> LateFusion:
    model = LateFusion("audio", "visual")
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, SENTINEL)
    return model


def refused(model: LateFusion, call: Callable[[], object], *fragments: str) -> None:
    with pytest.raises(mp.MMParetoError) as caught:
        call()
    message = str(caught.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message
    assert all((parameter.grad == SENTINEL).all() for parameter in model.parameters())


LOSSES: dict[str, tuple[Callable[[dict[str, Tensor]], object], tuple[str, ...]]] = {
    "non-scalar": (
        lambda x: x | {"audio": x["audio"].repeat(3)},
        ("Loss 'audio'", "one real number", "(3,)", "mean()"),
    ),
    "integer": (lambda x: x | {"audio": torch.tensor(3)}, ("Loss 'audio'", "torch.int64")),
    "complex": (lambda x: x | {"audio": x["audio"] * 1j}, ("Loss 'audio'", "torch.complex128")),
    "float": (lambda x: x | {"joint": 0.5}, ("Loss 'joint'", "Found float")),
    "no graph": (
        lambda x: x | {"visual": x["visual"].detach()},
        ("Loss 'visual'", "without a graph", "no_grad"),
    ),
    "no parameter": (
        lambda x: x | {"visual": torch.ones(1, requires_grad=True).sum()},
        ("Loss 'visual' should reach a parameter", "1 other tensors", "detached"),
    ),
    "number as name": (
        lambda x: x | {1: x["audio"]},
        ("`losses` should be keyed by names of objectives", "Found 1"),
    ),
    "empty": (lambda x: {}, ("`losses` should have at least one objective", "Found none")),
    "list": (
        lambda x: [*x.values()],
        ("`losses` should be a mapping", "'joint': ...", "'audio': ...", "Found list"),
    ),
    "tensor": (lambda x: x["joint"], ("`losses` should be a mapping", "Found Tensor")),
    "device": (
        lambda x: (
            x
            | {
                "audio": torch.ones((), device="meta", requires_grad=True)
                * nn.Parameter(torch.ones(()))
            }
        ),
        ("on one device", "loss 'joint' on cpu", "loss 'audio' on meta", "encoder 'audio' on cpu"),
    ),
}


@pytest.mark.parametrize(("change", "fragments"), LOSSES.values(), ids=LOSSES)
def test_losses(
    model: LateFusion, change: Callable[[dict[str, Tensor]], object], fragments: tuple[str, ...]
) -> None:
    losses = change(model.losses(model.batch()))
    for method in (mp.MMPareto(), mp.Uniform()):
        for geometry in (MEASURED, None):
            call = lambda: mp.backward(losses, model.partition, method, geometry=geometry)  # noqa: B023, E731
            refused(model, call, *fragments)


@pytest.mark.parametrize("geometry", [MEASURED, None])
def test_joint_needs_a_joint_loss(model: LateFusion, geometry: mp.Geometry | None) -> None:
    losses = {"audio": model.losses(model.batch())["audio"]}
    call = lambda: mp.backward(losses, model.partition, mp.Joint(), geometry=geometry)  # noqa: E731
    refused(
        model,
        call,
        "`losses` should have the key 'joint', without which joint has no meaning",
        "Found 'audio'",
    )


@pytest.mark.parametrize("group", ["world", 0, nn.Linear(1, 1)], ids=str)
def test_groups(model: LateFusion, group: object) -> None:
    losses = model.losses(model.batch())
    call = lambda: mp.backward(losses, model.partition, mp.MMPareto(), group=group)  # noqa: E731
    refused(
        model,
        call,
        "`group` should be a process group, or None for the default one",
        f"Found {group!r}",
    )


def test_encoders_of_a_step(model: LateFusion) -> None:
    losses = model.losses(model.batch())
    call = lambda encoders: lambda: mp.backward(losses, encoders, mp.MMPareto())  # noqa: E731
    refused(model, call(model), "`encoders` should be a Partition or a mapping", "Found LateFusion")
    refused(model, call({0: model}), "`encoders` should be keyed by modality names", "Found 0")
    refused(model, call({"audio": model, "visual": model}), "`encoders` should be disjoint")
    elsewhere = {**model.encoders, "text": nn.Linear(1, 1, device="meta")}
    refused(model, call(elsewhere), "on one device", "encoder 'text' on meta")
    astride = [*model.encoders["audio"].parameters(), nn.Parameter(torch.ones(1, device="meta"))]
    refused(
        model,
        call({**model.encoders, "audio": astride}),
        "Encoder 'audio' should be on one device",
        "cpu', 'meta'",
    )


@pytest.mark.parametrize("method", [mp.MMPareto, mp.Uniform, "mmpareto", None, 1.5], ids=str)
def test_methods(model: LateFusion, method: object) -> None:
    losses = model.losses(model.batch())
    call = lambda: mp.backward(losses, model.partition, method)  # noqa: E731
    refused(model, call, "`method` should be a method such as MMPareto()", f"Found {method!r}")


@pytest.mark.parametrize(
    ("weighting", "found"),
    [
        (lambda gramian: gramian, "Found (2, 2)"),
        (lambda gramian: torch.ones(3), "Found (3,)"),
        (lambda gramian: torch.ones(()), "Found ()"),
        (lambda gramian: [1.0, 1.0], "Found list"),
        (lambda gramian: None, "Found NoneType"),
    ],
)
def test_weightings(model: LateFusion, weighting: Callable[[Tensor], object], found: str) -> None:
    losses = model.losses(model.batch())
    call = lambda: mp.backward(losses, model.partition, weighting)  # noqa: E731
    refused(
        model, call, "`method`, a callable, should return a tensor of 2 weights", "(2, 2)", found
    )


def test_nothing_changed_where_the_second_encoder_is_refused(model: LateFusion) -> None:
    losses, shapes = model.losses(model.batch()), iter([2, 3])
    refused(
        model,
        lambda: mp.backward(losses, model.partition, lambda gramian: torch.ones(next(shapes))),
        "Found (3,)",
    )


@pytest.mark.parametrize(
    "gamma", [0, 0.0, -1.5, math.nan, math.inf, "1.5", None, torch.tensor(1.5)], ids=repr
)
@pytest.mark.parametrize("method", [mp.MMPareto, mp.ScaledUniform])
def test_gamma(method: type[mp.Method], gamma: object) -> None:
    with pytest.raises(mp.MMParetoError, match=r"`gamma` should be positive and finite\. Found"):
        method(gamma=gamma)


@pytest.mark.parametrize("granularity", ["layer", "", None, 1], ids=repr)
def test_granularity(granularity: object) -> None:
    with pytest.raises(
        mp.MMParetoError,
        match=f"`granularity` should be one of .*'encoder', 'tensor'.*{granularity!r}",
    ):
        mp.MMPareto(granularity=granularity)


def test_one_error_type_that_is_a_value_error() -> None:
    assert issubclass(mp.MMParetoError, ValueError)


def under_inference_mode(parameter: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.zeros_like(parameter)


UNWRITABLE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "inference tensor": (under_inference_mode, r"torch\.inference_mode"),
    "sparse": (lambda parameter: torch.zeros_like(parameter).to_sparse(), "torch.sparse_coo"),
    "expanded": (
        lambda parameter: parameter.new_zeros(()).expand_as(parameter),
        "an expanded one, whose entries share memory",
    ),
    "expanded along one axis": (
        lambda parameter: parameter.new_zeros((*parameter.shape[:1], 1)).expand_as(parameter),
        "an expanded one, whose entries share memory",
    ),
}


@pytest.mark.parametrize(("make", "found"), UNWRITABLE.values(), ids=UNWRITABLE)
@pytest.mark.parametrize("where", ["encoders.visual.0.weight", "joint.2.weight"])
def test_no_grad_is_changed_where_one_cannot_be_added_to(
    model: LateFusion, where: str, make: Callable[[Tensor], Tensor], found: str
) -> None:
    bad = model.get_parameter(where)
    bad.grad = make(bad)
    kept = {parameter: parameter.grad for parameter in model.parameters()}
    pattern = rf"`\.grad` should be a tensor of its own .* Found .*{found}.*zero_grad"
    accumulation = mp.Accumulation(model.partition, mp.MMPareto())
    accumulation.add(model.losses(model.batch()))
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto())
    calls: list[Callable[[], object]] = [
        lambda: mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto()),
        lambda: mp.backward(
            model.losses(model.batch()), model.partition, mp.Uniform(), geometry=None
        ),
        accumulation.backward,
        lambda: balanced(model.losses(model.batch())).backward(),
    ]
    for call in calls:
        with pytest.raises(mp.MMParetoError, match=pattern):
            call()
    for parameter, gradient in kept.items():
        assert parameter.grad is gradient
        assert parameter is bad or (gradient == SENTINEL).all()


def test_a_grad_of_another_shape_is_refused(model: LateFusion) -> None:
    """As where a parameter's data were replaced by larger ones after a step."""
    losses, weight = model.losses(model.batch()), model.joint[0].weight
    kept = [parameter.grad for parameter in model.parameters()]
    data = weight.data
    weight.data = weight.data[:, :1]
    weight.grad = torch.full_like(weight, SENTINEL)
    kept_weight = weight.grad
    weight.data = data
    with pytest.raises(mp.MMParetoError, match=r"Found one of shape \(6, 1\), .* shape \(6, 8\)"):
        mp.backward(losses, model.partition, mp.MMPareto())
    for parameter, gradient in zip(model.parameters(), kept, strict=True):
        assert parameter.grad is (kept_weight if parameter is weight else gradient)
        assert (parameter.grad == SENTINEL).all()


def test_grads_that_are_laid_out_otherwise_are_added_to(model: LateFusion) -> None:
    """A single row or column that is repeated no time shares no memory."""
    losses = model.losses(model.batch())
    mp.backward(losses, model.partition, mp.MMPareto(), retain_graph=True)
    once = [parameter.grad - SENTINEL for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter.T).T if parameter.dim() == 2 else None
    mp.backward(losses, model.partition, mp.MMPareto())
    for parameter, gradient in zip(model.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-14)
