"""The object that says how the geometry is measured, and remembers what was measured last."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion, inverse_lengths, plain_gradients

EVERY = 3
CONFLICT = 18  # seed of a batch in which the objectives conflict on both encoders


class ByLength(mp.GradientIntegration):
    """A method of someone's own, without a ``repr`` that tells its settings."""

    def weights(self, gramians: Tensor) -> Tensor:
        return inverse_lengths(gramians.sum(0))


METHODS: dict[str, object] = {
    "MMPareto": mp.MMPareto(),
    "MGDA": mp.MGDA(),
    "ScaledUniform": mp.ScaledUniform(),
    "Joint": mp.Joint(),
    "callable": inverse_lengths,
    "own class": ByLength(),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def probe(model: LateFusion) -> dict[str, nn.Module]:
    return {name: encoder[2] for name, encoder in model.encoders.items()}


SETTINGS: dict[str, Callable[[LateFusion], mp.Geometry]] = {
    "every": lambda model: mp.Geometry(every=EVERY),
    "probe": lambda model: mp.Geometry(probe=probe(model)),
    "every and probe": lambda model: mp.Geometry(every=EVERY, probe=probe(model)),
}
every_setting = pytest.mark.parametrize("setting", SETTINGS)


def step(
    model: LateFusion,
    geometry: mp.Geometry,
    seed: int,
    method: object = mp.MMPareto(),  # a frozen value
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda losses: losses,
) -> mp.StepReport:
    model.zero_grad()
    losses = change(model.losses(model.batch(seed)))
    return mp.backward(losses, model.partition, method, geometry=geometry)


def grads(model: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def same(got: list[Tensor | None], want: list[Tensor | None]) -> bool:
    return all(
        a is b if a is None or b is None else torch.equal(a, b)
        for a, b in zip(got, want, strict=True)
    )


# State that is saved and restored.


def through_a_file(geometry: mp.Geometry, fresh: mp.Geometry) -> mp.Geometry:
    """What another process continues with."""
    file = io.BytesIO()
    torch.save(geometry.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


def balanced(model: LateFusion, geometry: mp.Geometry, method: object) -> Callable[[int], None]:
    loss = mp.BalancedLoss(model.partition, method, geometry=geometry)
    return lambda seed: loss(model.losses(model.batch(seed))).backward()


def accumulated(model: LateFusion, geometry: mp.Geometry, method: object) -> Callable[[int], None]:
    accumulation = mp.Accumulation(model.partition, method, geometry=geometry)

    def run(seed: int) -> None:
        for part in (seed, seed + 100):
            accumulation.add(model.losses(model.batch(part)))
        accumulation.backward()

    return run


def called(model: LateFusion, geometry: mp.Geometry, method: object) -> Callable[[int], None]:
    return lambda seed: mp.backward(
        model.losses(model.batch(seed)), model.partition, method, geometry=geometry
    )


CALLS = {"backward": called, "BalancedLoss": balanced, "Accumulation": accumulated}
STEPS = 7


@every_method
@every_setting
@pytest.mark.parametrize("call", CALLS)
def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(
    call: str, setting: str, method: object
) -> None:
    """Bit for bit, wherever it stops."""
    trained, kept = LateFusion("audio", "visual"), {}
    geometry = SETTINGS[setting](trained)
    run, optimizer = CALLS[call](trained, geometry, method), sgd(trained)
    for number in range(STEPS):
        kept[number] = copy.deepcopy((trained.state_dict(), geometry.state_dict()))
        run(number)
        optimizer.step()
        optimizer.zero_grad()
    for start, (weights, state) in kept.items():
        resumed = LateFusion("audio", "visual")
        resumed.load_state_dict(weights)
        stopped = mp.Geometry()
        stopped.load_state_dict(state)
        fresh = through_a_file(stopped, SETTINGS[setting](resumed))
        run, optimizer = CALLS[call](resumed, fresh, copy.deepcopy(method)), sgd(resumed)
        for number in range(start, STEPS):
            run(number)
            optimizer.step()
            optimizer.zero_grad()
        assert all(map(torch.equal, resumed.parameters(), trained.parameters())), start


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_without_its_state_a_training_ends_elsewhere(model: LateFusion) -> None:
    """Or the test before would prove little."""
    geometry = mp.Geometry(every=EVERY)
    step(model, geometry, 0)
    step(model, geometry, 1)
    want = grads(model)
    assert step(model, mp.Geometry(every=EVERY), 1)
    assert not same(grads(model), want)


def test_state_is_numbers_names_and_tensors(model: LateFusion) -> None:
    geometry = mp.Geometry(every=EVERY)
    report = step(model, geometry, 0)
    step(model, geometry, 1)
    state = geometry.state_dict()
    assert state["age"] == 1
    assert list(state["weights"]) == ["audio", "visual"]
    for name, remembered in state["weights"].items():
        assert remembered["objectives"] == ["joint", name]
        assert torch.equal(remembered["weights"], report[name].applied)


def test_a_loaded_state_is_a_copy(model: LateFusion) -> None:
    geometry, other = mp.Geometry(every=EVERY), mp.Geometry(every=EVERY)
    step(model, geometry, 0)
    state = geometry.state_dict()
    other.load_state_dict(state)
    other.state_dict()["weights"]["audio"]["weights"].fill_(0)
    assert geometry.state_dict()["weights"]["audio"]["weights"].all()


def damaged(change: Callable[[dict[str, object]], object]) -> object:
    weights = {"objectives": ["joint", "audio"], "weights": torch.ones(2)}
    state = {"age": 1, "weights": {"audio": weights}, "owner": None}
    return change(state)


DAMAGED: dict[str, object] = {
    "none": None,
    "list": [1, 2],
    "empty": {},
    "no age": damaged(lambda state: {k: v for k, v in state.items() if k != "age"}),
    "age is text": damaged(lambda state: state | {"age": "soon"}),
    "age is infinite": damaged(lambda state: state | {"age": math.inf}),
    "age is negative": damaged(lambda state: state | {"age": -7}),
    "no weights": damaged(lambda state: state | {"weights": None}),
    "weights are a list": damaged(lambda state: state | {"weights": [1]}),
    "no tensor": damaged(
        lambda state: state | {"weights": {"audio": {"objectives": ["joint"], "weights": [1.0]}}}
    ),
    "another number of weights": damaged(
        lambda state: (
            state | {"weights": {"audio": {"objectives": ["joint"], "weights": torch.ones(3)}}}
        )
    ),
    "owner is text": damaged(lambda state: state | {"owner": "me"}),
    "owner lacks its method": damaged(lambda state: state | {"owner": {"encoders": {}}}),
}


@pytest.mark.parametrize("state", DAMAGED.values(), ids=DAMAGED)
def test_damaged_states_are_refused_and_change_nothing(model: LateFusion, state: object) -> None:
    geometry = mp.Geometry(every=EVERY)
    step(model, geometry, 0)
    with pytest.raises(
        mp.MMParetoError, match=r"`state` should be what Geometry\.state_dict\(\) returned\. Found"
    ):
        geometry.load_state_dict(state)
    assert geometry.state_dict()["age"] == 0
    assert not step(model, geometry, 1)


# One method and one partition.


def refused(model: LateFusion, call: Callable[[], object], match: str) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    with pytest.raises(mp.MMParetoError, match=match):
        call()
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


ANOTHER = r"`geometry` should be used with one method and partition.*Make a Geometry for each"


@pytest.mark.parametrize(
    "method", [mp.MMPareto(gamma=0.1), mp.MGDA(), mp.Uniform(), inverse_lengths, ByLength()]
)
@pytest.mark.parametrize("restored", [False, True])
def test_another_method_is_refused(model: LateFusion, restored: bool, method: object) -> None:
    geometry = mp.Geometry(every=EVERY)
    step(model, geometry, 0)
    if restored:
        geometry = through_a_file(geometry, mp.Geometry(every=EVERY))
    losses = model.losses(model.batch(1))
    call = lambda: mp.backward(losses, model.partition, method, geometry=geometry)  # noqa: E731
    refused(model, call, ANOTHER)


def test_methods_on_one_partition_do_not_use_each_others_weights(model: LateFusion) -> None:
    """Weights of gamma 1.5 would give the second method a step 15 times too long."""
    partition, first, second = model.partition, mp.Geometry(every=5), mp.Geometry(every=5)
    losses = lambda seed: model.losses(model.batch(seed))  # noqa: E731
    mp.backward(losses(0), partition, mp.MMPareto(gamma=1.5), geometry=first)
    model.zero_grad()
    mp.backward(losses(1), partition, mp.MMPareto(gamma=0.1), geometry=second)
    got = grads(model)
    model.zero_grad()
    mp.backward(losses(1), partition, mp.MMPareto(gamma=0.1), geometry=mp.Geometry(every=5))
    assert same(got, grads(model))


def test_other_encoders_are_refused(model: LateFusion) -> None:
    geometry, copied = mp.Geometry(every=EVERY), copy.deepcopy(model)
    step(model, geometry, 0)
    losses = model.losses(model.batch(1))
    others = {
        "a copy of the model": (copied, copied.losses(copied.batch(1)), copied.partition),
        "one encoder": (model, losses, mp.Partition(model, audio=model.encoders["audio"])),
        "other parameters": (
            model,
            losses,
            mp.Partition(model, **{name: encoder[2] for name, encoder in model.encoders.items()}),
        ),
    }
    for net, objectives, partition in others.values():
        call = lambda: mp.backward(objectives, partition, mp.MMPareto(), geometry=geometry)  # noqa: B023, E731
        refused(net, call, ANOTHER)


def test_a_partition_made_anew_of_the_same_encoders_will_do(model: LateFusion) -> None:
    geometry = mp.Geometry(every=EVERY)
    assert [len(step(model, geometry, seed)) for seed in range(4)] == [2, 0, 0, 2]


def test_a_restored_state_goes_with_equal_encoders(model: LateFusion) -> None:
    geometry = mp.Geometry(every=EVERY)
    step(model, geometry, 0)
    wider = LateFusion("audio", "visual")
    wider.encoders["audio"] = nn.Linear(5, 4).double()
    restored = through_a_file(geometry, mp.Geometry(every=EVERY))
    losses = wider.losses(wider.batch(1))
    call = lambda: mp.backward(losses, wider.partition, mp.MMPareto(), geometry=restored)  # noqa: E731
    refused(wider, call, ANOTHER)
    assert not step(copy.deepcopy(model), restored, 1)


def test_what_remembers_nothing_serves_any_method(model: LateFusion) -> None:
    geometry = mp.Geometry(probe=probe(model))
    for method in (mp.MMPareto(), mp.MGDA(), inverse_lengths):
        assert len(step(model, geometry, 0, method)) == 2


# When it is measured.


@every_method
@pytest.mark.parametrize("every", [1, 2, 4])
def test_every_step_that_is_due_is_measured(model: LateFusion, every: int, method: object) -> None:
    geometry = mp.Geometry(every=every)
    counts = [len(step(model, geometry, seed, method)) for seed in range(6)]
    assert counts == [2 if seed % every == 0 else 0 for seed in range(6)]


@pytest.mark.parametrize("method", [mp.Uniform(), mp.ScaledUniform(2.0), mp.Joint()], ids=repr)
@every_setting
def test_weights_that_are_known_beforehand_stay(
    model: LateFusion, setting: str, method: mp.LossWeighting
) -> None:
    geometry = SETTINGS[setting](model)
    for seed in range(4):
        step(model, geometry, seed, method)
        got = grads(model)
        step(model, mp.Geometry(), seed, method)
        for one, other in zip(got, grads(model), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def fails() -> None:
    raise ZeroDivisionError


FAILURES = {
    "in the backward pass": ZeroDivisionError,
    "a loss without a graph": mp.MMParetoError,
    "a method that does not fit": mp.MMParetoError,
    "a grad that cannot be added to": mp.MMParetoError,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_step_that_fails_is_not_counted(model: LateFusion, at: int, failure: str) -> None:
    """Measured steps are those of a loop that does not have it."""
    geometry, partition = mp.Geometry(every=EVERY), model.partition
    counts = []
    for seed in range(7):
        losses = model.losses(model.batch(seed))
        if seed == at:
            before = copy.deepcopy(geometry.state_dict())
            with pytest.raises(FAILURES[failure], match=r"integer|should"):
                failing_step(model, losses, partition, geometry, failure)
            after = geometry.state_dict()
            assert (after["age"], after["owner"]) == (before["age"], before["owner"])
            assert list(after["weights"]) == list(before["weights"])
        model.zero_grad()
        losses = model.losses(model.batch(seed))
        counts.append(len(mp.backward(losses, partition, mp.MMPareto(), geometry=geometry)))
    assert counts == [2, 0, 0, 2, 0, 0, 2]


def failing_step(
    model: LateFusion,
    losses: dict[str, Tensor],
    partition: mp.Partition,
    geometry: mp.Geometry,
    failure: str,
) -> None:
    hooks, method = [], mp.MMPareto()
    if failure == "in the backward pass":
        weight = model.encoders["visual"][0].weight
        hooks.append(weight.register_hook(lambda gradient: 1 // 0))
    elif failure == "a loss without a graph":
        losses["visual"] = losses["visual"].detach()
    elif failure == "a method that does not fit":
        method = mp.MMPareto(granularity="tensor")
    else:
        model.joint[0].weight.grad = torch.zeros((), dtype=torch.float64).expand(6, 8)
    try:
        mp.backward(losses, partition, method, geometry=geometry)
    finally:
        for hook in hooks:
            hook.remove()


def test_a_settled_set_of_objectives_is_what_weights_are_remembered_for(model: LateFusion) -> None:
    geometry = mp.Geometry(every=10)
    without = lambda losses: {k: v for k, v in losses.items() if k != "visual"}  # noqa: E731
    assert len(step(model, geometry, 0)) == 2
    assert len(step(model, geometry, 1, change=without)) == 2
    assert len(step(model, geometry, 2, change=without)) == 0
    assert len(step(model, geometry, 3)) == 2
    assert geometry.state_dict()["age"] == 0


# What is not finite.


def spoilt(name: str, value: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda losses: losses | {name: losses[name] * value}


def weighted(model: LateFusion, seed: int, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Encoders' gradients with given weights of the joint and the own objective."""
    losses, want = model.losses(model.batch(seed)), {}
    joint = plain_gradients(model, losses["joint"])
    for modality, (first, second) in weights.items():
        own = plain_gradients(model, losses[modality])
        for name in own:
            if name.startswith(f"encoders.{modality}"):
                want[name] = first * joint[name] + second * own[name]
    return want


def assert_weighted(model: LateFusion, seed: int, weights: dict[str, Tensor]) -> None:
    for name, gradient in weighted(model, seed, weights).items():
        got = model.get_parameter(name).grad
        tolerance = 10 * torch.finfo(got.dtype).eps ** 0.75
        torch.testing.assert_close(got, gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("objective", ["joint", "audio"])
def test_a_first_step_that_is_not_finite_is_not_remembered(
    objective: str, value: float, dtype: torch.dtype
) -> None:
    """Weights are then those of gradients of equal length at right angles."""
    model, geometry = LateFusion("audio", "visual", dtype=dtype), mp.Geometry(every=4)
    first = step(model, geometry, 0, change=spoilt(objective, value))
    bad = ["audio", "visual"] if objective == "joint" else ["audio"]
    for name, encoder in model.encoders.items():
        finite = all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
        assert finite == (name not in bad)
    weights = {name: report.applied for name, report in first.items()}
    weights |= dict.fromkeys(bad, torch.full((2,), 1.5, dtype=dtype))
    for seed in (1, 2, 3):
        assert not step(model, geometry, seed)
        assert_weighted(model, seed, weights)
    assert len(step(model, geometry, 4)) == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("objective", ["joint", "audio"])
def test_a_later_step_that_is_not_finite_leaves_what_was_measured_before(
    objective: str, value: float, dtype: torch.dtype
) -> None:
    model, geometry = LateFusion("audio", "visual", dtype=dtype), mp.Geometry(every=3)
    earlier = step(model, geometry, CONFLICT)
    assert all(report.conflict for report in earlier.values())  # or neutral weights would do
    for seed in (1, 2):
        step(model, geometry, seed)
    later = step(model, geometry, 3, change=spoilt(objective, value))
    kept = ["audio", "visual"] if objective == "joint" else ["audio"]
    weights = {name: report.applied for name, report in later.items()}
    weights |= {name: earlier[name].applied for name in kept}
    for seed in (4, 5):
        assert not step(model, geometry, seed)
        assert_weighted(model, seed, weights)


def test_finite_weights_of_a_gramian_that_is_not_are_not_remembered(model: LateFusion) -> None:
    """A weighting that drops what is not finite would drop that objective for ten steps."""
    method = lambda gramian: gramian.diagonal().isfinite().to(gramian.dtype)  # noqa: E731
    geometry = mp.Geometry(every=3)
    report = step(model, geometry, 0, method, spoilt("audio", math.nan))
    assert report["audio"].applied.tolist() == [1.0, 0.0]
    remembered = geometry.state_dict()["weights"]
    assert {name: of["weights"].tolist() for name, of in remembered.items()} == {
        "audio": [1.0, 1.0],
        "visual": [1.0, 1.0],
    }


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("bad", [0, 3, 10])
def test_a_loss_scaler_loses_the_bad_step_alone(bad: int, every: int) -> None:
    model, geometry = LateFusion("audio", "visual", dtype=torch.float32), mp.Geometry(every=every)
    scaler, optimizer, lost = torch.amp.GradScaler("cpu"), sgd(model), []
    partition = model.partition
    for seed in range(15):
        batch = model.batch(seed)
        if seed == bad:
            batch["audio"][0, 0] = math.nan
        optimizer.zero_grad()
        losses = {name: scaler.scale(loss) for name, loss in model.losses(batch).items()}
        mp.backward(losses, partition, mp.MMPareto(), geometry=geometry)
        if not all(parameter.grad.isfinite().all() for parameter in model.parameters()):
            lost.append(seed)
        scaler.step(optimizer)
        scaler.update()
    assert lost == [bad]
    assert scaler.get_scale() == 2.0**15


# How it looks.


@pytest.mark.parametrize(
    ("geometry", "text"),
    [
        (mp.Geometry(), "Geometry()"),
        (mp.Geometry(every=10), "Geometry(every=10)"),
        (mp.Geometry(sides="all"), "Geometry(sides='all')"),
        (
            mp.Geometry(every=2, probe={"audio": nn.Linear(2, 3)}, sides="joint"),
            "Geometry(every=2, probe=Partition(audio=9), sides='joint')",
        ),
    ],
)
def test_repr(geometry: mp.Geometry, text: str) -> None:
    assert repr(geometry) == text
