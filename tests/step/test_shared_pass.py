"""Steps that pass most of an encoder once for all objectives: geometry measured at the top, or in
an earlier step.
"""

from __future__ import annotations

import copy
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
        list(torch.autograd.grad(losses[name], parameters, retain_graph=True)) for name in names
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
    method = mp.MMPareto(probe={name: model.encoders[name][2] for name in probed})
    batch = model.batch(seed)
    weights = {}
    for name, encoder in model.encoders.items():
        measured = encoder[2] if name in probed else encoder
        pair = rows(model, model.losses(batch), list(measured.parameters()), ("joint", name))
        weights[name] = mp.MMPareto().weights(gramians(pair))
    report = mp.backward(model.losses(batch), model.partition, method)
    assert_close(model, expected(model, batch, weights))
    for name in MODALITIES:
        torch.testing.assert_close(report[name].applied, weights[name], rtol=1e-12, atol=0)


def test_probes_meet_conflicts(model: LateFusion) -> None:
    """Or the test before would prove little."""
    method = mp.MMPareto(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    reports = [
        mp.backward(model.losses(model.batch(seed)), model.partition, method) for seed in range(8)
    ]
    conflicts = sum(int(encoder.conflict) for report in reports for encoder in report.values())
    assert 3 < conflicts < 21


@pytest.mark.parametrize("probe", [False, True], ids=["exact", "probe"])
def test_steps_between_weight_as_the_last_measured_one(model: LateFusion, probe: bool) -> None:
    top = {name: encoder[2] for name, encoder in model.encoders.items()} if probe else None
    method, encoders = mp.MMPareto(every=3, probe=top), model.partition
    for step in range(7):
        model.zero_grad()
        report = mp.backward(model.losses(model.batch(step)), encoders, method)
        assert len(report) == (3 if step % 3 == 0 else 0)
        if step % 3 == 0:
            weights = {name: encoder.applied for name, encoder in report.items()}
        else:
            assert_close(model, expected(model, model.batch(step), weights))


def test_another_set_of_objectives_is_measured_at_once(model: LateFusion) -> None:
    method, encoders = mp.MMPareto(every=10), model.partition
    for step, missing in enumerate([None, None, "text", "text", None, None]):
        losses = model.losses(model.batch(step))
        losses.pop(missing, None)
        report = mp.backward(losses, encoders, method)
        assert len(report) == (3 if step in (0, 2, 4) else 0)


def test_two_partitions_keep_their_own_weights(model: LateFusion) -> None:
    method, other = mp.MMPareto(every=5), copy.deepcopy(model)
    assert len(mp.backward(model.losses(model.batch()), model.partition, method)) == 3
    assert len(mp.backward(other.losses(other.batch()), other.partition, method)) == 3


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
    method = mp.MMPareto(
        every=every, probe={"audio": model.encoders["audio"].third} if probe else None
    )
    encoders = model.partition
    for want in (first, second):
        passes.clear()
        mp.backward(model.losses(model.batch()), encoders, method)
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


def test_modalities_that_meet_below_are_refused() -> None:
    model = Dense("audio", "visual")
    method, encoders = mp.MMPareto(every=2), model.partition
    mp.backward(model.losses(model.batch()), encoders, method)
    before = [parameter.grad.clone() for parameter in model.parameters()]
    with pytest.raises(
        mp.MMParetoError,
        match=r"Encoder 'audio' should meet other modalities above .* Found 1 of its",
    ):
        mp.backward(model.losses(model.batch()), encoders, method)
    assert all(torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True))


def test_objectives_that_pass_the_probe_by_are_refused() -> None:
    model = Dense("audio", "visual")
    method = mp.MMPareto(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    with pytest.raises(
        mp.MMParetoError, match=r"Probe of 'audio' .* Found 'visual', which passes it by"
    ):
        mp.backward(model.losses(model.batch()), model.partition, method)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_refusals(model: LateFusion) -> None:
    losses = model.losses(model.batch())
    with pytest.raises(mp.MMParetoError, match=r"`encoders` should be a Partition, made once"):
        mp.backward(losses, dict(model.encoders), mp.MMPareto(every=2))
    with pytest.raises(
        mp.MMParetoError, match=r"`probe` should name encoders, i\.e\. 'audio', .* Found 'touch'"
    ):
        mp.backward(losses, model.partition, mp.MMPareto(probe={"touch": model.joint}))
    with pytest.raises(
        mp.MMParetoError,
        match=r"Probe of 'audio' should be a part of its encoder\. Found 4 of its 4",
    ):
        mp.backward(losses, model.partition, mp.MMPareto(probe={"audio": model.joint}))
    with pytest.raises(
        mp.MMParetoError, match=r"`method` of an accumulation should measure the whole geometry"
    ):
        mp.Accumulation(model.partition, mp.MMPareto(every=2))
    with pytest.raises(mp.MMParetoError, match=r"`every` should be at least 1\. Found 0"):
        mp.MMPareto(every=0)
    with pytest.raises(mp.MMParetoError, match=r"`granularity` should be 'encoder' where one pass"):
        mp.MMPareto(granularity="tensor", every=2)
    assert all(parameter.grad is None for parameter in model.parameters())
