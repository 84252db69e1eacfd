"""Passes that objectives share give, on any graph, what each objective's own pass gives."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from random_graphs import RandomModel
from slow_step import apart, expected, received

GRAPHS = 320
PARTS = 16  # tests, so that processes can share them
EXACT = 1e-12


def weighted(
    losses: dict[str, Tensor], partition: mp.Partition, report: mp.StepReport
) -> dict[Tensor, Tensor | None]:
    """What each parameter should receive, by one autograd pass per objective through everything."""
    parameters = [p for p in partition.parameters if p.requires_grad]
    factors = {}
    for encoder, measured in report.items():
        factors |= dict.fromkeys(partition[encoder], measured.weights)
    want: dict[Tensor, Tensor | None] = dict.fromkeys(parameters)
    for objective, loss in losses.items():
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:
                continue
            factor = factors[parameter][objective] if parameter in factors else 1.0
            if factor == 0 and want[parameter] is None:
                continue
            before = want[parameter]
            want[parameter] = factor * gradient + (0 if before is None else before)
    return want


def names(model: RandomModel, seed: int) -> tuple[str, ...]:
    """The modalities of a batch: now and then one is missing."""
    present = list(model.encoders)
    if len(present) > 1 and seed % 5 == 0:
        present.pop(random.Random(seed).randrange(len(present)))
    return tuple(present)


def has_unnamed(model: RandomModel) -> bool:
    """Whether an encoder lacks a loss of its own, which is for its losses alike then."""
    return any(plan.own is None for plan in model.plans.values())


def geometry(model: RandomModel, seed: int, kind: str) -> mp.Geometry:
    sides = "all" if has_unnamed(model) else ("own", "all", "joint")[seed % 3]
    probe = model.probes(seed) if "probe" in kind else None
    return mp.Geometry(every=3 if "every" in kind else 1, probe=probe, sides=sides)


@pytest.mark.parametrize("kind", ["every", "probe", "every and probe"])
@pytest.mark.parametrize("part", range(PARTS))
def test_shared_passes(part: int, kind: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part, GRAPHS, PARTS):
        model = RandomModel(seed)
        partition, method = model.partition, mp.MMPareto()
        measuring, present = geometry(model, seed, kind), names(model, seed)
        reports = []
        for step in range(2 if "every" in kind else 1):
            losses = model.losses(model.batch(step), present)
            model.zero_grad()
            report = step_unless_refused(losses, partition, method, measuring)
            if report is None:
                seen["refused"] += 1
                break
            reports.append(report)
            want = weighted(losses, partition, reports[0])
            assert apart(received(want), want) < EXACT, f"graph {seed}, step {step}"
            seen["measured" if report else "reused"] += 1
        if reports and "probe" in kind:
            check_measured(model, model.losses(model.batch(0), present), measuring, reports[0])
    assert seen["measured"] >= 8
    assert (seen["reused"] >= 8) == ("every" in kind)


def step_unless_refused(
    losses: dict[str, Tensor], partition: mp.Partition, method: mp.Method, measuring: mp.Geometry
) -> mp.StepReport | None:
    """The step's report; None if an objective passes the probe by, which changes nothing."""
    try:
        return mp.backward(losses, partition, method, geometry=measuring, retain_graph=True)
    except mp.MMParetoError as error:
        if "which passes it by" not in str(error) or any(
            parameter.grad is not None for parameter in partition.parameters
        ):
            raise
        return None


def check_measured(
    model: RandomModel, losses: dict[str, Tensor], measuring: mp.Geometry, report: mp.StepReport
) -> None:
    """What is measured is at least the probe, at most the encoder, and the weights are of it."""
    for encoder, measured in report.items():
        probe = measuring.probe.get(encoder, model.partition[encoder])
        least, most = (
            torch.stack([square_length(losses[o], some) for o in measured.objectives])
            for some in (probe, model.partition[encoder])
        )
        squares = measured.gramian.diagonal()
        assert (squares >= least * (1 - EXACT)).all()
        assert (squares <= most * (1 + EXACT)).all()
        weights = mp.MMPareto().weights(measured.side_gramian[None])
        for side, weight in zip(measured.sides, weights, strict=True):
            for number in side:
                torch.testing.assert_close(measured.applied[number], weight, rtol=1e-9, atol=0)


def square_length(loss: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if not parameters:
        return torch.zeros(())
    found = torch.autograd.grad(
        loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return sum(gradient.square().sum() for gradient in found)


@pytest.mark.parametrize("method", [mp.MMPareto(), mp.MGDA(), mp.ScaledUniform(2.0)], ids=repr)
@pytest.mark.parametrize("part", range(4))
def test_measured_steps_are_the_slow_one(part: int, method: mp.Method) -> None:
    for seed in range(part, 80, 4):
        model = RandomModel(seed)
        measuring = geometry(model, seed, "")
        losses = model.losses(model.batch(0), names(model, seed))
        want = expected(losses, model.parameters(), model.encoders, method, measuring.sides)
        mp.backward(losses, model.partition, method, geometry=measuring)
        got = received(want)
        if measuring.sides == "joint":  # what is on no side leaves an encoder as it is
            got = {p: torch.zeros_like(p) if g is None else g for p, g in got.items()}
            want = {p: torch.zeros_like(p) if g is None else g for p, g in want.items()}
        assert apart(got, want) < 1e-9, f"graph {seed}"
