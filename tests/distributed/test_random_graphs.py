"""Two processes equal one on any graph, where passes are shared, modalities are missing on one, and
trainings are resumed.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from distributed.launch import on_ranks
from random_graphs import RandomModel

pytestmark = pytest.mark.distributed

GRAPHS = range(60)
KINDS = ("every", "probe", "every and probe")
SIZE = 8


def geometry(model: RandomModel, seed: int, kind: str) -> mp.Geometry:
    named = all(plan.own is not None for plan in model.plans.values())
    return mp.Geometry(
        every=3 if "every" in kind else 1,
        probe=model.probes(seed) if "probe" in kind else None,
        sides=("own", "all", "joint")[seed % 3] if named else "all",
    )


def shares(model: RandomModel, seed: int, step: int) -> list[dict[str, Tensor]]:
    """The losses of both processes; the second lacks a modality now and then."""
    batch = model.batch(step, SIZE)
    both = []
    for rank in range(2):
        names = tuple(model.encoders)
        if rank and len(names) > 1 and seed % 3 == 0:
            names = names[1:]
        part = {name: values[rank::2] for name, values in batch.items()}
        both.append(model.losses(part, names))
    return both


def mean(both: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The losses of one process that has all samples; who lacks one counts as zero."""
    total: dict[str, Tensor] = {}
    for losses in both:
        for name, loss in losses.items():
            total[name] = total.get(name, 0) + loss / 2
    return total


def trained(rank: int | None, seed: int, kind: str) -> list[Tensor | None] | str:
    """Gradients after two steps of one process of two, or of one alone; or why it was refused."""
    model = RandomModel(seed)
    partition, measuring = model.partition, geometry(model, seed, kind)
    for step in range(2):
        model.zero_grad()
        both = shares(model, seed, step)
        losses = mean(both) if rank is None else both[rank]
        try:
            mp.backward(losses, partition, mp.MMPareto(), geometry=measuring)
        except mp.MMParetoError as error:
            assert all(parameter.grad is None for parameter in model.parameters())
            return str(error)
    return [parameter.grad for parameter in model.parameters()]


def every_graph(rank: int) -> dict[tuple[int, str], list[Tensor | None] | str]:
    return {(seed, kind): trained(rank, seed, kind) for seed in GRAPHS for kind in KINDS}


def test_shared_passes_of_two_processes(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, every_graph)
    equal = 0
    for (seed, kind), got in first.items():
        want, other = trained(None, seed, kind), second[seed, kind]
        if isinstance(want, str):
            assert got == other == want
            assert "which passes it by" in want
            continue
        equal += 1
        for one, two, gradient in zip(got, other, want, strict=True):
            zero = torch.zeros(())
            assert torch.equal(*(zero if g is None else g for g in (one, two)))
            one, gradient = (zero if g is None else g for g in (one, gradient))
            torch.testing.assert_close(
                one.expand(gradient.shape) if one.dim() == 0 else one,
                gradient.expand(one.shape) if gradient.dim() == 0 else gradient,
                rtol=1e-9,
                atol=1e-12,
                check_dtype=False,
            )
    assert equal > 100


STEPS, SEED = 7, 1


def resumed(rank: int) -> dict[str, bool]:
    """Whether a training that goes on from a file ends as one that did not stop."""
    equal = {}
    for kind in KINDS:
        model = RandomModel(SEED)
        measuring = geometry(model, SEED, kind)
        kept = {}
        for step in range(STEPS):
            kept[step] = copy.deepcopy((model.state_dict(), measuring.state_dict()))
            train(model, measuring, rank, step)
        for start in range(STEPS):
            weights, state = kept[start]
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            other = RandomModel(SEED)
            other.load_state_dict(weights)
            fresh = geometry(other, SEED, kind)
            fresh.load_state_dict(torch.load(file, weights_only=True))
            for step in range(start, STEPS):
                train(other, fresh, rank, step)
            equal[f"{kind}, {start}"] = all(
                map(torch.equal, other.parameters(), model.parameters())
            )
    return equal


def train(model: RandomModel, measuring: mp.Geometry, rank: int, step: int) -> None:
    model.zero_grad()
    losses = shares(model, SEED, step)[rank]
    mp.backward(losses, model.partition, mp.MMPareto(), geometry=measuring)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad


def test_resumed_trainings_of_two_processes(tmp_path: Path) -> None:
    for equal in on_ranks(tmp_path, resumed):
        assert len(equal) == len(KINDS) * STEPS
        assert all(equal.values()), equal
