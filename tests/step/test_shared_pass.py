"""Steps that pass most of an encoder once for all objectives: geometry measured at the top, or in
an earlier step.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.gradients import gramians
from networks import LateFusion

MODALITIES = ("audio", "visual", "text")
CONFLICTING = 6  # seed of a batch


@pytest.fixture
def model() -> LateFusion:
    return LateFusion(*MODALITIES)


def rows(
    model: LateFusion, losses: dict[str, Tensor], parameters: list[Tensor], names: tuple[str, ...]
) -> list:
    return [
        list(
            torch.autograd.grad(losses[name], parameters, retain_graph=True, materialize_grads=True)
        )
        for name in names
    ]


def expected(
    model: LateFusion, batch: dict[str, Tensor], weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients where encoders weight their joint and own objective so, by an autograd pass for
    each.
    """
    losses = model.losses(batch)
    want = {}
    names, parameters = zip(*model.named_parameters(), strict=True)
    per_objective = {
        objective: torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for objective, loss in losses.items()
    }
    for i, name in enumerate(names):
        modality = name.split(".")[1] if name.startswith("encoders.") else None
        factors = (
            dict(zip(("joint", modality), weights[modality], strict=True))
            if modality
            else dict.fromkeys(losses, 1.0)
        )
        parts = [
            factors[o] * g[i] for o, g in per_objective.items() if o in factors and g[i] is not None
        ]
        want[name] = sum(parts)
    return want


def assert_close(model: LateFusion, want: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, want[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("probed", [("audio", "visual", "text"), ("audio",)], ids=len)
def test_weights_are_those_of_the_probe(
    model: LateFusion, seed: int, probed: tuple[str, ...]
) -> None:
    geometry = mp.Geometry(probe={name: model.encoders[name][2] for name in probed})
    batch = model.batch(seed)
    weights = {}
    for name, encoder in model.encoders.items():
        measured = encoder[2] if name in probed else encoder
        pair = rows(model, model.losses(batch), list(measured.parameters()), ("joint", name))
        weights[name] = mp.MMPareto().weights(gramians(pair))
    report = mp.backward(model.losses(batch), model.partition, mp.MMPareto(), geometry=geometry)
    assert_close(model, expected(model, batch, weights))
    for name in MODALITIES:
        torch.testing.assert_close(report[name].applied, weights[name], rtol=1e-12, atol=0)


def test_probes_meet_conflicts(model: LateFusion) -> None:
    """Or the test before would prove little."""
    geometry = mp.Geometry(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    reports = [
        mp.backward(
            model.losses(model.batch(seed)), model.partition, mp.MMPareto(), geometry=geometry
        )
        for seed in range(8)
    ]
    conflicts = sum(int(encoder.conflict) for report in reports for encoder in report.values())
    assert 3 < conflicts < 21


@pytest.mark.parametrize("probe", [False, True], ids=["exact", "probe"])
def test_steps_between_weight_as_the_last_measured_one(model: LateFusion, probe: bool) -> None:
    top = {name: encoder[2] for name, encoder in model.encoders.items()} if probe else None
    geometry, encoders = mp.Geometry(every=3, probe=top), model.partition
    for step in range(7):
        model.zero_grad()
        report = mp.backward(
            model.losses(model.batch(step)), encoders, mp.MMPareto(), geometry=geometry
        )
        assert len(report) == (3 if step % 3 == 0 else 0)
        if step % 3 == 0:
            weights = {name: encoder.applied for name, encoder in report.items()}
        else:
            assert_close(model, expected(model, model.batch(step), weights))


def test_another_set_of_objectives_is_measured_at_once(model: LateFusion) -> None:
    geometry, encoders = mp.Geometry(every=10), model.partition
    for step, missing in enumerate([None, None, "text", "text", None, None]):
        losses = model.losses(model.batch(step))
        losses.pop(missing, None)
        report = mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry)
        assert len(report) == (3 if step in (0, 2, 4) else 0)


class Count(torch.autograd.Function):
    """Identity that counts the gradients passing through it."""

    @staticmethod
    def forward(ctx: object, x: Tensor, passes: Counter[str], name: str) -> Tensor:
        ctx.passes, ctx.name = passes, name
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None, None]:
        ctx.passes[ctx.name] += 1
        return grad, None, None


class Counted(nn.Module):
    """Counts passes between the layers."""

    def __init__(self, encoder: nn.Sequential, passes: Counter[str]) -> None:
        super().__init__()
        self.first, self.second, self.third = encoder
        self.passes = passes

    def forward(self, x: Tensor) -> Tensor:
        below = Count.apply(self.first(x), self.passes, "below")
        return Count.apply(self.third(self.second(below)), self.passes, "top")


@pytest.mark.parametrize(
    ("probe", "every", "first", "second"),
    [
        (False, 2, {"below": 2, "top": 2}, {"below": 1, "top": 1}),
        (True, 1, {"below": 1, "top": 2}, {"below": 1, "top": 2}),
    ],
)
def test_passes(probe: bool, every: int, first: dict[str, int], second: dict[str, int]) -> None:
    model, passes = LateFusion("audio"), Counter()
    model.encoders["audio"] = Counted(model.encoders["audio"], passes)
    geometry = mp.Geometry(
        every=every, probe={"audio": model.encoders["audio"].third} if probe else None
    )
    encoders = model.partition
    for want in (first, second):
        passes.clear()
        mp.backward(model.losses(model.batch()), encoders, mp.MMPareto(), geometry=geometry)
        assert passes == want


class Dense(LateFusion):
    """Each feature is modulated by the first layer of the next modality."""

    def features(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        hidden = {name: encoder[:2](batch[name]) for name, encoder in self.encoders.items()}
        mixed = dict(
            zip(hidden, [*list(hidden.values())[1:], next(iter(hidden.values()))], strict=True)
        )
        return {
            name: encoder[2](hidden[name] + mixed[name]) for name, encoder in self.encoders.items()
        }


def test_modalities_that_meet_below_are_passed_for_each_objective() -> None:
    model = Dense("audio", "visual")
    encoders, geometry = model.partition, mp.Geometry(every=3)
    report = mp.backward(model.losses(model.batch()), encoders, mp.MMPareto(), geometry=geometry)
    model.zero_grad()
    losses = model.losses(model.batch(1))
    assert not mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry, retain_graph=True)
    for name, encoder in model.encoders.items():
        parameters = list(encoder.parameters())
        per_objective = rows(model, losses, parameters, report[name].objectives)
        for place, parameter in enumerate(parameters):
            column = [row[place] for row in per_objective]
            want = sum(w * g for w, g in zip(report[name].applied, column, strict=True))
            torch.testing.assert_close(parameter.grad, want, rtol=1e-12, atol=1e-14)


def test_objectives_that_pass_the_probe_by_are_refused() -> None:
    model = Dense("audio", "visual")
    geometry = mp.Geometry(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    with pytest.raises(
        mp.MMParetoError, match=r"Probe of 'audio' .* Found 'visual', which passes it by"
    ):
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(), geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"every": 0}, r"`every` should be a whole number, at least 1\. Found 0"),
        ({"every": 1.5}, r"`every` should be a whole number, at least 1\. Found 1\.5"),
        ({"every": True}, r"`every` should be a whole number, at least 1\. Found True"),
        ({"sides": "two"}, r"`sides` should be one of \('own', 'all', 'joint'\)\. Found 'two'"),
        ({"probe": [1]}, r"`encoders` should be a Partition or a mapping"),
    ],
    ids=str,
)
def test_settings(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(mp.MMParetoError, match=expected):
        mp.Geometry(**settings)


@pytest.mark.parametrize(
    ("probed", "expected"),
    [
        ("touch", r"`probe` should name encoders, i\.e\. 'audio', .* Found 'touch'"),
        ("audio", r"Probe of 'audio' should be a part of its encoder\. Found 4 of its 4"),
    ],
)
def test_probes(model: LateFusion, probed: str, expected: str) -> None:
    geometry = mp.Geometry(probe={probed: model.joint})
    with pytest.raises(mp.MMParetoError, match=expected):
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(), geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tensors_by_themselves_cannot_share_a_pass(model: LateFusion) -> None:
    method = mp.MMPareto(granularity="tensor")
    for geometry in (mp.Geometry(every=2), mp.Geometry(probe={"audio": model.encoders["audio"]})):
        with pytest.raises(mp.MMParetoError, match=r"`granularity` should be 'encoder' where one"):
            mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())
