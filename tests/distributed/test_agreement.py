"""What processes have to agree on before a step: what differs, or fails on one, is refused on
all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import EVERYTHING, SHARES, Network, full_batch, losses

pytestmark = pytest.mark.distributed


def objectives(model: nn.Module, rank: int) -> dict[str, Tensor]:
    batch = {name: values[SHARES[rank]] for name, values in full_batch(0).items()}
    return losses(model(batch), batch["label"], SHARES[rank], {})


def outcome(call: Callable[[], object], model: nn.Module) -> str:
    """What the call was refused for; no ``.grad`` was changed then."""
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    try:
        call()
    except Exception as error:
        untouched = all(bool((parameter.grad == 7).all()) for parameter in model.parameters())
        return f"{type(error).__name__}: {error}" if untouched else "changed"
    return "nothing"


def refused(found: list[str], *patterns: str) -> None:
    for text, pattern in zip(found, patterns, strict=True):
        with pytest.raises(mp.MMParetoError, match=pattern):
            raise mp.MMParetoError(text)


# Parameters that the partition's model does not know.


class Uncertainty(nn.Module):
    """Learned weights of the losses (Kendall et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        names = ("joint", "audio", "visual", "text")
        self.scales = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})

    def forward(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: loss * torch.exp(-self.scales[name]) + self.scales[name]
            for name, loss in named.items()
        }


def unknown(rank: int) -> dict[str, Any]:
    model, criterion = Network(), Uncertainty()
    wrapped, weighted = DistributedDataParallel(model), DistributedDataParallel(criterion)
    both = nn.ModuleList([model, criterion])
    partition = mp.Partition(model, **model.encoders)

    def step(method: mp.Method, geometry: mp.Geometry | None) -> str:
        return outcome(
            lambda: mp.backward(
                weighted(objectives(wrapped, rank)), partition, method, geometry=geometry
            ),
            both,
        )

    found = {
        "measured": step(mp.MMPareto(), mp.Geometry()),
        "not measured": step(mp.Uniform(), None),
    }
    both.zero_grad()
    named = weighted(objectives(wrapped, rank))
    mp.backward(named, mp.Partition(both, **model.encoders), mp.MMPareto())  # the remedy
    found["gradients"] = torch.stack([p.grad for p in criterion.parameters()])
    both.zero_grad()
    named = weighted(objectives(wrapped, rank))
    mp.backward(named, partition, mp.MMPareto(), average=False)  # a process by itself knows all
    found["alone"] = torch.stack([p.grad for p in criterion.parameters()])
    return found


def test_parameters_that_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    """They would not be averaged, and replicas drift apart."""
    first, second = on_ranks(tmp_path, unknown)
    text = r"know all modules that learn .* Found that loss 'joint' .* shape \(\) outside"
    for case in ("measured", "not measured"):
        refused([first[case], second[case]], text, text)
    assert torch.equal(first["gradients"], second["gradients"])
    assert not torch.equal(first["alone"], second["alone"])
    torch.testing.assert_close((first["alone"] + second["alone"]) / 2, first["gradients"])


# Settings that differ.


def different_settings(rank: int) -> dict[str, str]:
    model = Network()
    partition = mp.Partition(model, **model.encoders)
    top = {"audio": model.encoders["audio"][2]}
    aged, restored = mp.Geometry(every=4), mp.Geometry(every=4)
    mp.backward(objectives(model, rank), partition, mp.MMPareto(), geometry=restored)
    if rank:
        aged.load_state_dict({**aged.state_dict(), "age": 1})
        fewer = mp.Geometry(every=4)
        fewer.load_state_dict({**restored.state_dict(), "weights": {}})
        restored = fewer
    pairs: dict[str, tuple[object, mp.Geometry]] = {
        "every": (mp.MMPareto(), mp.Geometry(every=2 + rank)),
        "sides": (mp.MMPareto(), mp.Geometry(sides=("own", "all")[rank])),
        "probe": (mp.MMPareto(), mp.Geometry(probe=top if rank else None)),
        "age": (mp.MMPareto(), aged),
        "weights": (mp.MMPareto(), restored),
        "gamma": (mp.MMPareto(gamma=1.0 + rank), mp.Geometry()),
        "method": ((mp.MMPareto(), mp.Uniform())[rank], mp.Geometry()),
    }
    found = {}
    for name, (method, geometry) in pairs.items():
        found[name] = outcome(
            lambda method=method, geometry=geometry: mp.backward(
                objectives(model, rank), partition, method, geometry=geometry
            ),
            model,
        )
    found["Accumulation"] = outcome(lambda: accumulated(model, partition, rank), model)
    return found


def accumulated(model: Network, partition: mp.Partition, rank: int) -> None:
    geometry = mp.Geometry(every=2 + rank)
    accumulation = mp.Accumulation(partition, mp.MMPareto(), geometry=geometry)
    accumulation.add(objectives(model, rank))
    accumulation.backward()


def test_methods_and_geometries_that_differ_are_refused(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, different_settings)
    assert len(first) == 8
    text = r"Method and geometry should be the same on all ranks\. Found .* on rank 0, .* on rank 1"
    for name in first:
        refused([first[name], second[name]], text, text)


# Errors on one process.


class Spoilt(dict):
    """Losses whose reading fails, as of a class of someone's own."""

    def items(self) -> Any:
        raise LookupError("no losses here")


def fails_on_one(rank: int) -> dict[str, Any]:
    model = Network()
    partition = mp.Partition(model, **model.encoders)
    copied = Network()
    bad: dict[str, Callable[[dict[str, Tensor]], object]] = {
        "method": lambda named: mp.backward(named, partition, None),
        "any error": lambda named: mp.backward(Spoilt(named), partition, mp.MMPareto()),
        "loss": lambda named: mp.backward(
            {name: loss.detach() for name, loss in named.items()}, partition, mp.MMPareto()
        ),
        "name": lambda named: mp.backward(
            {name.replace("text", "txet"): loss for name, loss in named.items()},
            partition,
            mp.MMPareto(),
        ),
        "geometry": lambda named: mp.backward(
            named, partition, mp.MMPareto(), geometry=mp.Geometry(probe={"touch": model.joint})
        ),
        "encoders": lambda named: mp.backward(named, {"audio": 3}, mp.MMPareto()),
        "no model": lambda named: mp.backward(named, dict(model.encoders), mp.MMPareto()),
        "another model": lambda named: mp.backward(
            named, mp.Partition(copied, **copied.encoders), mp.MMPareto()
        ),
    }
    found: dict[str, Any] = {}
    for name, call in bad.items():
        named = objectives(model, rank)
        if rank == 0:
            call = lambda named: mp.backward(named, partition, mp.MMPareto())  # noqa: E731
        found[name] = outcome(lambda call=call, named=named: call(named), model)
        # The loop goes on, and its next step is the others' next.
        model.zero_grad()
        mp.backward({k: (1 + rank) * v for k, v in named.items()}, partition, mp.Uniform())
        found[name, "next"] = model.joint[0].weight.grad.clone()
    return found


ERRORS = {
    "method": r"`method` should be a method",
    "any error": r"LookupError: no losses here",
    "loss": r"Loss 'joint' should depend on a trainable parameter",
    "name": r"should have the key 'text'",
    "geometry": r"`probe` should name encoders",
    "encoders": r"Encoder 'audio' should be a module",
    "no model": r"`encoders` should know the whole model",
    "another model": r"outside of the partition's model|partition of the model that the losses",
}


def test_an_error_of_any_kind_on_one_process_is_told_to_all(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, fails_on_one)
    for name, text in ERRORS.items():
        told = rf"Another process should have .* Found on rank 1: .*({text})"
        refused([first[name], second[name]], told, text)
        assert torch.equal(first[name, "next"], second[name, "next"]), name
    assert all(torch.equal(first["method", "next"], first[name, "next"]) for name in ERRORS)


# Zero gradients that a wrapper makes up.


ALL = mp.Geometry(sides="all")


def mean(gramian: Tensor) -> Tensor:
    return torch.full((len(gramian),), 1 / len(gramian), dtype=gramian.dtype)


def made_up(rank: int, case: str) -> dict[str, Tensor]:
    model = Network()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    named = objectives(wrapped, rank)
    if case == "one rank has no loss" and rank:
        named = {}
    mp.backward(named, mp.Partition(model, **model.encoders), mean, geometry=ALL)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("case", ["all", "one rank has no loss"])
def test_zeros_that_ddp_makes_up_are_no_objectives(tmp_path: Path, case: str) -> None:
    """On no process, or they would weigh differently."""
    results = on_ranks(tmp_path, made_up, case)
    model, batch = Network(), full_batch(0)
    if case == "all":
        named = losses(model(batch), batch["label"], EVERYTHING, {})
    else:
        named = {name: loss / 2 for name, loss in objectives(model, 0).items()}
    mp.backward(named, mp.Partition(model, **model.encoders), mean, geometry=ALL)
    for received in results:
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(received[name], parameter.grad, rtol=1e-5, atol=1e-6)


# Buffers of a model that several processes know differently.


def ends_at_two_depths(rank: int) -> list[Tensor]:
    """On rank 1 the joint loss reads a bias of the encoder past it, which lies above the cut
    there.
    """
    torch.manual_seed(0)
    low, high = nn.Linear(4, 3).double(), nn.Linear(3, 3).double()
    head = nn.Linear(3, 1).double()
    model = nn.ModuleList([low, high, head])
    partition = mp.Partition(model, audio=nn.ModuleList([low, high]))
    geometry = mp.Geometry(every=3)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    world = dist.get_world_size() if dist.is_initialized() else 1
    for _ in range(2):
        model.zero_grad()
        joint, audio = torch.zeros(()).double(), torch.zeros(()).double()
        for part in range(2) if world == 1 else [rank]:
            bottom = low(x[part::2]).tanh()
            top = high(bottom).tanh()
            joint = joint + head(top).square().mean()
            if part:
                joint = joint + (low.bias * head.weight).square().sum()
            audio = audio + (top - 1).square().mean()
        scale = 2 / world
        mp.backward(
            {"joint": joint / scale, "audio": audio / scale},
            partition,
            mp.MMPareto(),
            geometry=geometry,
        )
    return [parameter.grad for parameter in model.parameters()]


def test_processes_agree_on_where_graphs_are_cut(tmp_path: Path) -> None:
    want = ends_at_two_depths(0)
    for received in on_ranks(tmp_path, ends_at_two_depths):
        for got, gradient in zip(received, want, strict=True):
            torch.testing.assert_close(got, gradient, rtol=1e-12, atol=1e-14)
