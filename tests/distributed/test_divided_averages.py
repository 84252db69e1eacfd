"""Where each process keeps a share of every average, several processes equal one still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.messages import counted
from torch import Tensor, nn

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import (
    CALLS,
    EVERYTHING,
    METHODS,
    Network,
    Present,
    assert_equal,
    assert_equal_norms,
    assert_same_on_all,
    train,
)
from distributed.test_random_graphs import GRAPHS, trained
from mmpareto.distributed import _averaging, _group, _shares

pytestmark = pytest.mark.distributed

PRESENCE: dict[str, Present] = {
    "all": {},
    "ranks lack some": {"text": [1, 5, 7], "audio": [0, 3, 9]},
    "nobody has text": {"text": []},
}

Key = tuple[str, str, str]
MMPARETO = repr(mp.MMPareto())


def divide_all(bucket: int = 1000) -> None:
    """Small encoders are divided too, in several buckets; the largest parameter is one alone."""
    _shares.LEAST = 0
    _averaging.BUCKET = bucket


def every_method(rank: int, world: int, backend: str) -> dict[Key, Any]:
    divide_all()
    if backend == "accelerators":
        _group._backend = lambda device, group: "xccl"
    results: dict[Key, Any] = {}
    samples = EVERYTHING[rank::world]
    half = len(samples) // 2
    for case, present in PRESENCE.items():
        for name, method in METHODS.items():
            results[case, "each", name] = train(Network(), [samples], method, present=present)
        results[case, "once", MMPARETO] = train(
            Network(),
            [samples[:half], samples[half:]],
            METHODS[MMPARETO],
            call=CALLS["once"],
            present=present,
        )
    return results


@pytest.mark.parametrize(("world", "backend"), [(2, "gloo"), (3, "gloo"), (2, "accelerators")])
def test_every_method(tmp_path: Path, world: int, backend: str) -> None:
    results = on_ranks(tmp_path, every_method, world, backend, world=world)
    for key, got in results[0].items():
        case, _, name = key
        expected = train(Network(), [EVERYTHING], METHODS[name], present=PRESENCE[case])
        assert_same_on_all([result[key] for result in results])
        assert_equal(got, expected)
        assert_equal_norms(got, expected)
    assert results[0]["all", "each", MMPARETO]["conflicts"] >= 3


def every_graph(rank: int) -> list[list[Tensor | None]]:
    divide_all(bucket=64)
    return [trained(rank, seed, "exact") for seed in GRAPHS]


def test_random_graphs(tmp_path: Path) -> None:
    """Dense exchange, several exits, tied layers: objectives that reach a part of an encoder."""
    first, second = on_ranks(tmp_path, every_graph)
    for seed in GRAPHS:
        want = trained(None, seed, "exact")
        for one, other, gradient in zip(first[seed], second[seed], want, strict=True):
            assert (one is None) == (other is None) == (gradient is None)
            if gradient is not None:
                assert torch.equal(one, other)
                torch.testing.assert_close(one, gradient, rtol=1e-9, atol=1e-12)


def sent(rank: int, world: int, method: mp.Method, backend: str) -> tuple[float, int]:
    """Bytes a process sends in a step when exchanges are as short as can be; and the model's."""
    if backend == "accelerators":
        _group._backend = lambda device, group: "xccl"
    encoders = {name: nn.Linear(600, 600) for name in ("audio", "visual")}
    model = nn.ModuleDict({**encoders, "head": nn.Linear(1200, 3)})
    features = {name: encoder(torch.randn(4, 600)) for name, encoder in encoders.items()}
    losses = {name: feature.square().mean() for name, feature in features.items()}
    losses["joint"] = model["head"](torch.cat(list(features.values()), 1)).square().mean()
    with counted(world) as moved:
        mp.backward(losses, mp.Partition(model, **encoders), method)
    return sum(moved), sum(p.nbytes for p in model.parameters())


@pytest.mark.parametrize(("world", "backend"), [(2, "gloo"), (3, "gloo"), (2, "accelerators")])
def test_bytes(tmp_path: Path, world: int, backend: str) -> None:
    """At most 1.5 times DistributedDataParallel's, which sends each entry in one all-reduce."""
    for moved, model in on_ranks(tmp_path, sent, world, mp.MMPareto(), backend, world=world):
        plain = 2 * (world - 1) / world * model
        assert 1.4 * plain < moved <= 1.5 * plain


def test_what_a_backend_does_not_offer_is_averaged_whole(tmp_path: Path) -> None:
    [(moved, model), _] = on_ranks(tmp_path, whole_averages, 2)
    assert 1.9 * model < moved < 2 * model


def whole_averages(rank: int, world: int) -> tuple[float, int]:
    _group._backend = lambda device, group: "mpi"
    return sent(rank, world, mp.MMPareto(), "mpi")
