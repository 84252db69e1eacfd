"""Passes shared on two processes equal one process with the full batch, on any graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from distributed.launch import on_ranks
from random_graphs import RandomModel

GRAPHS = range(40)
SIZE = 8
KINDS = ("every", "probe", "every and probe")

pytestmark = pytest.mark.distributed


def trained(seed: int, kind: str, rank: int | None) -> list[Tensor | None] | str:
    """Gradients of one measured and one further step; what was refused, in words.

    On two processes each has half of every batch, and in every third graph the second lacks a
    modality, whose samples then count in its loss on the first alone.
    """
    model = RandomModel(seed)
    sides = "all" if any(plan.own is None for plan in model.plans.values()) else "own"
    probe = model.probes(seed) if "probe" in kind else None
    geometry = mp.Geometry(every=3 if "every" in kind else 1, probe=probe, sides=sides)
    partition = model.partition
    names = tuple(model.encoders)
    lacks = seed % 3 == 0 and len(names) > 1
    for step in range(2):
        model.zero_grad()
        batch = model.batch(step, SIZE)
        total: dict[str, Tensor] = {}
        for share in (0, 1) if rank is None else (rank,):
            half = {name: values[share::2] for name, values in batch.items()}
            present = names[:-1] if lacks and share == 1 else names
            for name, loss in model.losses(half, present).items():
                scaled = loss / 2 if rank is None else loss
                total[name] = total[name] + scaled if name in total else scaled
        try:
            mp.backward(total, partition, mp.MMPareto(), geometry=geometry)
        except mp.MMParetoError as error:
            return str(error)
    return [p.grad for p in partition.parameters]


def on_rank(rank: int) -> dict[str, list[Tensor | None] | str]:
    outcomes = {}
    for seed in GRAPHS:
        for kind in KINDS:
            outcomes[f"{seed} {kind}"] = trained(seed, kind, rank)
    return outcomes


def test_two_processes_equal_one(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, on_rank)
    compared = 0
    for seed in GRAPHS:
        for kind in KINDS:
            key = f"{seed} {kind}"
            want = trained(seed, kind, None)
            if isinstance(want, str):
                assert first[key] == second[key] == want
                assert "which passes it by" in want
                continue
            compared += 1
            for got in (first[key], second[key]):
                for gradient, expected in zip(got, want, strict=True):
                    if expected is None:
                        assert gradient is None
                    else:
                        scale = expected.abs().max()
                        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12 * scale)
    assert compared > 80
