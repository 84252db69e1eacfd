"""Processes whose graphs, losses, or numbers of batches differ."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import mmpareto as mp
from distributed.launch import on_ranks
from networks import LateFusion
from random_graphs import RandomModel

GRAPHS = range(48)
EXACT = 1e-12


def unlike(seed: int, rank: int) -> tuple[RandomModel, tuple[str, ...]]:
    """The model of a process and the modalities of its batch: parameters are alike, graphs are not.

    A quarter each: one process has no losses at all; modalities are missing; the second process's
    losses leave the encoders elsewhere (two quarters).
    """
    model, chance = RandomModel(seed), random.Random(seed)
    names = list(model.encoders)
    if seed % 4 == 0 and rank == 1:
        return model, ()
    if seed % 4 == 1 and len(names) > 1:
        names.pop(rank)
    if seed % 4 >= 2 and rank == 1:
        for plan in model.plans.values():
            values = range(1, len(plan.moves) + 1)
            plan.exits = [chance.choice(values) for _ in plan.exits]
            plan.own = None if plan.own is None else chance.choice(values)
    return model, tuple(names)


def losses_of(model: RandomModel, present: tuple[str, ...], batch: int) -> dict[str, Tensor]:
    return model.losses(model.batch(batch), present) if present else {}


def mean_of_weighted(seed: int, step: int, report: mp.StepReport) -> list[Tensor]:
    """What a parameter should receive: the weighted gradients of both processes, averaged."""
    total: list[Tensor] = []
    for rank in range(2):
        model, present = unlike(seed, rank)
        parameters = [p for p in model.parameters() if p.requires_grad]
        encoder_of = {}
        for name, encoder in model.encoders.items():
            encoder_of |= dict.fromkeys(encoder.parameters(), name)
        total = total or [torch.zeros_like(parameter) for parameter in parameters]
        for objective, loss in losses_of(model, present, 2 * step + rank).items():
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            for number, gradient in enumerate(gradients):
                if gradient is not None:
                    encoder = encoder_of.get(parameters[number])
                    weight = report[encoder].weights[objective] if encoder in report else 1.0
                    total[number] = total[number] + weight * gradient / 2
    return total


def shared_passes(rank: int, every: int, probed: bool) -> dict[str, Any]:
    farthest, compared = 0.0, 0
    for seed in GRAPHS:
        model, present = unlike(seed, rank)
        probe = model.probes(seed) if probed else None
        geometry = mp.Geometry(every=every, probe=probe, sides="all")
        report = None
        for step in range(every):
            model.zero_grad()
            losses = losses_of(model, present, 2 * step + rank)
            measured = step_unless_refused(losses, model, geometry)
            if measured is None:
                break
            report = report or measured
            parameters = [p for p in model.parameters() if p.requires_grad]
            want = mean_of_weighted(seed, step, report)
            farthest = max(farthest, apart(parameters, want))
            compared += 1
    return {"farthest": farthest, "compared": compared}


def step_unless_refused(
    losses: dict[str, Tensor], model: RandomModel, geometry: mp.Geometry
) -> mp.StepReport | None:
    """The step's report; None if an objective passes the probe by, which changes nothing."""
    try:
        return mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry)
    except mp.MMParetoError as error:
        changed = any(parameter.grad is not None for parameter in model.parameters())
        if changed or "which passes it by" not in str(error):
            raise
        return None


def apart(parameters: list[Tensor], want: list[Tensor]) -> float:
    """Largest distance of a gradient from the wanted one, relative to the longest of these."""
    length = max(float(gradient.norm()) for gradient in want)
    farthest = 0.0
    for parameter, gradient in zip(parameters, want, strict=True):
        got = torch.zeros_like(gradient) if parameter.grad is None else parameter.grad
        farthest = max(farthest, float((got - gradient).norm()) / length)
    return farthest


@pytest.mark.parametrize(("every", "probed"), [(1, False), (2, False), (1, True), (2, True)])
def test_shared_passes(tmp_path: Path, every: int, probed: bool) -> None:
    for outcome in on_ranks(tmp_path, shared_passes, every, probed):
        assert outcome["compared"] >= 36
        assert outcome["farthest"] < EXACT


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.ear, self.eye, self.joint = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        audio, visual = self.ear(x), self.eye(x)
        return self.joint(torch.cat([audio, visual], 1)), audio, visual


def made_up_zeros(rank: int) -> dict[str, Any]:
    """A step in which the wrapper of one process makes up zeros, and the other has no batch."""
    model, shapes = Wrapped(), []
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    losses = {}
    if rank == 0:
        joint, audio, visual = wrapped(torch.ones(4, 3))
        losses = {"joint": joint.mean(), "audio": audio.mean(), "visual": visual.mean()}

    def weighting(gramian: Tensor) -> Tensor:
        shapes.append(len(gramian))
        return torch.full_like(gramian[0], 1 / len(gramian))

    partition = mp.Partition(model, audio=model.ear, visual=model.eye)
    mp.backward(losses, partition, weighting, geometry=mp.Geometry(sides="all"))
    return {"shapes": torch.tensor(shapes), "gradient": model.ear.weight.grad}


def test_a_function_of_ones_own_sees_the_same_on_all(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, made_up_zeros)
    assert first["shapes"].tolist() == [2, 2]  # without the third objective's made-up zero
    assert torch.equal(first["shapes"], second["shapes"])
    assert torch.equal(first["gradient"], second["gradient"])


def other_method(rank: int) -> dict[str, Any]:
    model = LateFusion("audio", "visual")
    message = ""
    try:
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(gamma=1.0 + rank))
    except mp.MMParetoError as error:
        message = str(error)
    untouched = all(parameter.grad is None for parameter in model.parameters())
    return {"message": message, "untouched": untouched}


def test_another_method_on_one_process_is_refused(tmp_path: Path) -> None:
    for outcome in on_ranks(tmp_path, other_method):
        assert "Method and geometry should be the same on all ranks" in outcome["message"]
        assert "gamma=2.0" in outcome["message"]
        assert outcome["untouched"]


def unknown_parameters(rank: int) -> dict[str, Any]:
    """A criterion with learned weights, of which the partition's model knows nothing."""
    model, weights = LateFusion("audio", "visual"), nn.Parameter(torch.zeros(3).double())
    losses = {}
    for number, (name, loss) in enumerate(model.losses(model.batch(rank)).items()):
        losses[name] = loss * torch.exp(-weights[number]) + weights[number]
    message = ""
    try:
        mp.backward(losses, model.partition, mp.MMPareto())
    except mp.MMParetoError as error:
        message = str(error)
    untouched = all(parameter.grad is None for parameter in [weights, *model.parameters()])
    return {"message": message, "untouched": untouched}


def test_parameters_of_nowhere_are_refused(tmp_path: Path) -> None:
    for outcome in on_ranks(tmp_path, unknown_parameters):
        assert "loss 'joint' reaches a parameter of shape (3,)" in outcome["message"]
        assert "ModuleList([model, criterion])" in outcome["message"]
        assert outcome["untouched"]


SEEDS = [[0, 1, 2], [3]]
"""The batches of each process: the first has two more."""


def one_process(settings: dict[str, Any]) -> dict[str, Tensor]:
    """A training on both processes' batches: of an absent one the gradient is zero."""
    model, geometry = LateFusion("audio", "visual"), mp.Geometry(**settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(3):
        losses = dict.fromkeys(["joint", "audio", "visual"], torch.zeros((), dtype=torch.float64))
        for seeds in SEEDS:
            if step < len(seeds):
                for name, loss in model.losses(model.batch(seeds[step])).items():
                    losses[name] = losses[name] + loss / 2
        optimizer.zero_grad()
        mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry)
        optimizer.step()
    return dict(model.state_dict())


def unequal_numbers(rank: int, settings: dict[str, Any]) -> dict[str, Tensor]:
    """The recipe of docs/distributed.md."""
    model, geometry = LateFusion("audio", "visual"), mp.Geometry(**settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    steps = torch.tensor(len(SEEDS[rank]))
    torch.distributed.all_reduce(steps, torch.distributed.ReduceOp.MAX)
    batches = iter(SEEDS[rank])
    for _ in range(int(steps)):
        seed = next(batches, None)
        losses = {} if seed is None else model.losses(model.batch(seed))
        optimizer.zero_grad()
        mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry)
        optimizer.step()
    return dict(model.state_dict())


@pytest.mark.parametrize("settings", [{}, {"every": 2}], ids=["each step", "every second"])
def test_unequal_numbers_of_batches(tmp_path: Path, settings: dict[str, Any]) -> None:
    want = one_process(settings)
    for weights in on_ranks(tmp_path, unequal_numbers, settings):
        for name, weight in weights.items():
            torch.testing.assert_close(weight, want[name], rtol=1e-9, atol=1e-12)


def joined(rank: int) -> dict[str, Any]:
    model, message = LateFusion("audio", "visual"), ""
    whole = DistributedDataParallel(model)
    partition = mp.Partition(whole, **model.encoders)
    with torch.distributed.algorithms.join.Join([whole]):
        try:
            mp.backward(model.losses(model.batch(rank)), partition, mp.MMPareto())
        except mp.MMParetoError as error:
            message = str(error)
    untouched = all(parameter.grad is None for parameter in model.parameters())
    return {"message": message, "untouched": untouched}


def test_join_is_refused_where_the_partition_knows_of_it(tmp_path: Path) -> None:
    for outcome in on_ranks(tmp_path, joined):
        assert "should not be under Join" in outcome["message"]
        assert outcome["untouched"]
