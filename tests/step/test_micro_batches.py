"""Gradient accumulation in both meanings: a decision per micro-batch, or one for all of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import mmpareto as mp
from loop_cases import Fusion, normal
from networks import every_method
from slow_step import COMPARED, apart, expected, received

SPLITS = {"equal": [4, 4, 4], "unequal": [7, 1, 4], "one": [12]}

compared = pytest.mark.parametrize("method", COMPARED, ids=str)
dense_or_late = pytest.mark.parametrize("dense", [False, True], ids=["late", "dense"])


def make(dense: bool = False) -> Fusion:
    return Fusion(3, dense=dense)


def batch(seed: int, size: int = 12) -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(seed)
    return {name: normal(size, 3) for name in ("m0", "m1", "m2")}, torch.randint(3, (size,))


def losses(
    model: Fusion, inputs: dict[str, Tensor], labels: Tensor, weight: float = 1.0
) -> dict[str, Tensor]:
    return {
        name: weight * F.cross_entropy(scores, labels) for name, scores in model(inputs).items()
    }


def parts(seed: int, sizes: list[int]) -> list[tuple[dict[str, Tensor], Tensor, float]]:
    """Micro-batches of a batch of 12, with their shares of it."""
    inputs, labels = batch(seed)
    splits = {name: x.split(sizes) for name, x in inputs.items()}
    pieces = enumerate(zip(sizes, labels.split(sizes), strict=True))
    return [
        ({name: split[i] for name, split in splits.items()}, y, size / 12)
        for i, (size, y) in pieces
    ]


def gradients(model: Fusion) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@compared
@dense_or_late
def test_a_decision_per_micro_batch_adds_up(dense: bool, method: mp.Method) -> None:
    model, total = make(dense), {}
    for part in parts(0, [4, 4, 4]):
        step = expected(losses(model, *part), model.parameters(), model.encoders, method)
        total = {
            parameter: total.get(parameter, 0) + gradient for parameter, gradient in step.items()
        }
    for part in parts(0, [4, 4, 4]):
        mp.backward(losses(model, *part), model.encoders, method)
    assert apart(received(model.parameters()), total) <= 1e-10


@every_method
@dense_or_late
@pytest.mark.parametrize("sizes", SPLITS.values(), ids=SPLITS)
def test_one_decision_is_that_of_the_large_batch(
    sizes: list[int], dense: bool, method: mp.Method
) -> None:
    model, large = make(dense), make(dense)
    accumulation, conflicts = mp.Accumulation(model.encoders, method), []
    for seed in range(3):  # reused from step to step
        for part in parts(seed, sizes):
            accumulation.add(losses(model, *part))
        model.zero_grad()
        large.zero_grad()
        report = accumulation.backward()
        want = mp.backward(losses(large, *batch(seed)), large.encoders, method)
        assert apart(gradients(model), gradients(large)) <= 1e-12
        for name, encoder in want.items():
            assert report[name].objectives == encoder.objectives
            assert torch.allclose(report[name].gramian, encoder.gramian, rtol=1e-12, atol=1e-14)
            conflicts.append(bool(encoder.conflict))
    assert any(conflicts)


@compared
def test_the_two_meanings_differ(method: mp.Method) -> None:
    model, other = make(), make()
    accumulation = mp.Accumulation(model.encoders, method)
    for part in parts(1, SPLITS["equal"]):
        accumulation.add(losses(model, *part))
        mp.backward(losses(other, *part), other.encoders, method)
    accumulation.backward()
    assert (apart(gradients(model), gradients(other)) > 1e-3) == (method != mp.Uniform())


@compared
def test_modality_missing_in_some_micro_batches(method: mp.Method) -> None:
    """As in one large batch of which some samples lack it, in whatever micro-batch it comes
    first.
    """
    model, slow = make(), make()
    present = [("m0", "m1"), ("m1",), ("m0", "m1", "m2")]
    accumulation, total = mp.Accumulation(model.encoders, method), {}
    for (inputs, labels, share), names in zip(parts(0, SPLITS["unequal"]), present, strict=True):
        kept = {name: inputs[name] for name in names}
        accumulation.add(losses(model, kept, labels, share))
        for name, loss in losses(slow, kept, labels, share).items():
            total[name] = total.get(name, 0) + loss
    accumulation.backward()
    want = expected(total, slow.parameters(), slow.encoders, method)
    named = {name: want[parameter] for name, parameter in slow.named_parameters()}
    assert apart(gradients(model), named) <= 1e-10


@every_method
def test_grad_is_kept_and_added_to(method: mp.Method) -> None:
    model, plain = make(), make()
    for net in (model, plain):
        accumulation = mp.Accumulation(net.encoders, method)
        before = {}
        for parameter in model.parameters() if net is model else ():
            parameter.grad = before[parameter] = torch.ones_like(parameter)
        for part in parts(0, SPLITS["equal"]):
            accumulation.add(losses(net, *part))
            assert all(
                gradient is None or bool((gradient == 1).all())
                for gradient in gradients(net).values()
            )
        accumulation.backward()
        assert all(parameter.grad is gradient for parameter, gradient in before.items())
    assert (
        apart(gradients(model), {name: 1 + gradient for name, gradient in gradients(plain).items()})
        <= 1e-12
    )


def test_nothing_to_integrate() -> None:
    model = make()
    accumulation = mp.Accumulation(model.encoders, mp.MMPareto())
    with pytest.raises(mp.MMParetoError, match=r"at least one objective\. Found none"):
        accumulation.backward()
    accumulation.add(losses(model, *batch(0)))
    accumulation.backward()
    with pytest.raises(
        mp.MMParetoError, match="Found none"
    ):  # nor is anything left from the step before
        accumulation.backward()


class Fails(torch.autograd.Function):
    """Runs out of memory in its backward pass."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no room")


@pytest.mark.parametrize("failure", ["refused", "in the first pass", "in the last pass"])
def test_micro_batch_that_fails_leaves_what_is_held(failure: str) -> None:
    model = make()
    other = copy.deepcopy(model)
    accumulation, plain = (mp.Accumulation(net.encoders, mp.MMPareto()) for net in (model, other))
    (first, bad, last) = parts(0, SPLITS["equal"])
    for part in (first, last):
        plain.add(losses(other, *part))
    accumulation.add(losses(model, *first))
    spoilt = losses(model, *bad)
    if failure == "refused":
        spoilt["m2"] = spoilt["m2"].detach()
    else:
        objective = "joint" if "first" in failure else "m2"
        spoilt[objective] = Fails.apply(spoilt[objective])
    error = mp.MMParetoError if failure == "refused" else torch.OutOfMemoryError
    with pytest.raises(error, match=r"Loss 'm2' should depend on a trainable|no room"):
        accumulation.add(spoilt)
    accumulation.add(losses(model, *last))
    accumulation.backward()
    plain.backward()
    assert apart(gradients(model), gradients(other)) == 0
