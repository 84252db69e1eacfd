"""Processes that hold a part of each parameter equal one that holds all: FSDP2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import CALLS, EVERYTHING, METHODS, SHARES, Network, full_batch, losses, train
from distributed.steps import assert_equal as assert_equal
from distributed.steps import assert_equal_norms as assert_equal_norms
from distributed.steps import assert_same_on_all as assert_same_on_all

pytestmark = pytest.mark.distributed


def whole_model(model: Network) -> None:
    for encoder in model.encoders.values():
        fully_shard(encoder)
    fully_shard(model)


def encoders_only(model: Network) -> None:
    """The rest are plain parameters, whose gradients nobody but this library averages."""
    for encoder in model.encoders.values():
        fully_shard(encoder)


def one_encoder(model: Network) -> None:
    fully_shard(model.encoders["visual"])


def two_by_two(model: Network) -> None:
    """Sharded over pairs of processes, replicated across the pairs."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    for encoder in model.encoders.values():
        fully_shard(encoder, mesh=mesh)
    fully_shard(model, mesh=mesh)


LAYOUTS: dict[str, Callable[[Network], None]] = {
    layout.__name__: layout for layout in (whole_model, encoders_only, one_encoder, two_by_two)
}


def every_method(rank: int, layout: str, shares: list[list[int]]) -> dict[tuple[Any, ...], Any]:
    results = {}
    for name, method in METHODS.items():
        for geometry in (True, False):
            model = Network()
            LAYOUTS[layout](model)
            results[name, geometry] = train(model, [shares[rank]], method, geometry=geometry)
    return results


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_method(tmp_path: Path, layout: str) -> None:
    world = 4 if layout == "two_by_two" else 2
    results = on_ranks(
        tmp_path,
        every_method,
        layout,
        [EVERYTHING[rank::world] for rank in range(world)],
        world=world,
    )
    for name, method in METHODS.items():
        for geometry in (True, False):
            assert_same_on_all([result[name, geometry] for result in results])
            expected = train(Network(), [EVERYTHING], method, geometry=geometry)
            assert_equal(results[0][name, geometry], expected)
            assert_equal_norms(results[0][name, geometry], expected)
    assert results[0][repr(mp.MMPareto()), True]["conflicts"] >= 3


def every_call(rank: int) -> dict[str, Any]:
    results = {}
    for name, call in CALLS.items():
        model = Network()
        whole_model(model)
        shares = [SHARES[rank][:3], SHARES[rank][3:]] if name == "once" else [SHARES[rank]]
        results[name] = train(model, shares, mp.MMPareto(), call=call, present={"text": []})
    return results


def test_accumulation_and_the_loss_with_a_missing_modality(tmp_path: Path) -> None:
    results = on_ranks(tmp_path, every_call)
    expected = train(Network(), [EVERYTHING], mp.MMPareto(), present={"text": []})
    for name in CALLS:
        assert_same_on_all([result[name] for result in results])
        assert_equal(results[0][name], expected)


def refusals(rank: int) -> dict[str, str]:
    """What is refused, in which words; no gradient was changed then, and the ranks go on
    together.
    """
    batch = {name: values[SHARES[rank]] for name, values in full_batch(0).items()}
    found = {}

    def attempt(
        case: str, model: Network, encoders: Any, *, drop: str | None = None, **options: Any
    ) -> None:
        parameters = list(model.parameters())  # before they are gathered
        objectives = losses(model(batch), batch["label"], SHARES[rank], {})
        objectives.pop(drop, None)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        try:
            mp.backward(objectives, encoders, mp.MMPareto(), **options)
        except mp.MMParetoError as error:
            found[case] = str(error)
        kept = all(bool((parameter.grad == 1).all()) for parameter in parameters)
        found[case] = found.get(case, "nothing") if kept else "changed"

    plain, sharded, mixed, unsynchronized = (Network() for _ in range(4))
    stale = mp.Partition(sharded, **sharded.encoders)
    whole_model(sharded)
    encoders_only(mixed)
    whole_model(unsynchronized)
    unsynchronized.set_requires_gradient_sync(False)
    attempt("no model", plain, plain.encoders)
    attempt("no model, sharded", sharded, sharded.encoders, average=False)
    encoders = {name: plain.encoders[name] for name in ("audio", "visual")[: rank + 1]}
    attempt("different encoders", plain, mp.Partition(plain, **encoders))
    partition = mp.Partition(sharded, **sharded.encoders)
    attempt("different keys", sharded, partition, drop="text" if rank else None)
    attempt("switched off", sharded, partition, average=False)
    attempt("made before shards", sharded, stale)
    attempt("no sync", unsynchronized, mp.Partition(unsynchronized, **unsynchronized.encoders))
    old = Network()
    flat = FullyShardedDataParallel(old, device_id=torch.device("cpu"), use_orig_params=True)
    found["FSDP1"] = refusal_of(
        lambda: mp.backward({}, mp.Partition(flat, **old.encoders), mp.MMPareto())
    )
    mixed.joint = nn.parallel.DistributedDataParallel(mixed.joint)
    attempt("DDP beside shards", mixed, mp.Partition(mixed, **mixed.encoders))
    return found


def refusal_of(call: Callable[[], object]) -> str:
    try:
        call()
    except mp.MMParetoError as error:
        return str(error)
    return "nothing"


def gathered(rank: int) -> str:
    """A partition of what is there between forward and backward pass, where the model is one
    unit.
    """
    model = Network()
    fully_shard(model)
    batch = {name: values[SHARES[rank]] for name, values in full_batch(0).items()}
    objectives = losses(model(batch), batch["label"], SHARES[rank], {})
    return refusal_of(
        lambda: mp.backward(objectives, mp.Partition(model, **model.encoders), mp.MMPareto())
    )


def test_a_partition_of_gathered_parameters_is_refused(tmp_path: Path) -> None:
    for found in on_ranks(tmp_path, gathered):
        assert "Found a partition made before fully_shard, or while they were gathered" in found


def everything_in_encoders(rank: int) -> dict[str, Any]:
    model = Network()
    whole_model(model)
    batch = {name: values[SHARES[rank]] for name, values in full_batch(0).items()}
    objectives = losses(model(batch), batch["label"], SHARES[rank], {})
    mp.backward(objectives, mp.Partition(model, everything=model), mp.Joint(), geometry=None)
    return {
        name: p.grad.full_tensor() for name, p in model.named_parameters() if p.grad is not None
    }


def test_nothing_outside_of_the_encoders(tmp_path: Path) -> None:
    model, batch = Network(), full_batch(0)
    losses(model(batch), batch["label"], EVERYTHING, {})["joint"].backward()
    for received in on_ranks(tmp_path, everything_in_encoders):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(received[name], parameter.grad, rtol=1e-5, atol=1e-7)


def test_refusals(tmp_path: Path) -> None:
    words = {
        "no model": (
            "`encoders` should know the whole model .* Found encoders alone.* average=False"
        ),
        "no model, sharded": "`encoders` should know the whole model",
        "different encoders": (
            "`encoders` should be the same on all ranks. Found different partitions"
        ),
        "different keys": (
            "`losses` should have the same keys on all ranks .* text on rank 0; .* "
            "on rank 1.* 0 [*] out"
        ),
        "made before shards": (
            "hold the sharded parameters. Found a partition made before fully_shard"
        ),
        "no sync": "Found none that did. Leave set_requires_gradient_sync",
        "FSDP1": "Found FullyShardedDataParallel, .* fsdp_version=2",
        "switched off": (
            "`group` should be the 2 processes over which parameters are sharded. Found 1"
        ),
        "DDP beside shards": "DistributedDataParallel should not synchronize .* no_sync",
    }
    for found in on_ranks(tmp_path, refusals):
        assert found.keys() == words.keys()
        for case, message in found.items():
            with pytest.raises(mp.MMParetoError, match=words[case]):
                raise mp.MMParetoError(message)


def beside_ddp(rank: int) -> dict[str, Any]:
    model = Network()
    encoders_only(model)
    model.joint = nn.parallel.DistributedDataParallel(model.joint)
    outcome = train(model, [SHARES[rank]], mp.MMPareto(), context=model.joint.no_sync)
    outcome["parameters"] = {
        name.replace("module.", ""): p for name, p in outcome["parameters"].items()
    }
    return outcome


def test_beside_ddp_that_does_not_synchronize(tmp_path: Path) -> None:
    results = on_ranks(tmp_path, beside_ddp)
    assert_same_on_all(results)
    assert_equal(results[0], train(Network(), [EVERYTHING], mp.MMPareto()))


def collectives(rank: int) -> list[int]:
    sizes: list[int] = []
    reduce = torch.distributed.all_reduce
    torch.distributed.all_reduce = lambda x, *args, **kwargs: (
        sizes.append(x.numel()),
        reduce(x, *args, **kwargs),
    )[1]
    model = Network()
    whole_model(model)
    train(model, [SHARES[rank]], mp.MMPareto(), steps=1)
    return sizes


def test_all_gramians_in_one_collective(tmp_path: Path) -> None:
    """Beside one of 16 bytes to agree: three encoders of four tensors, reached by two objectives
    each.
    """
    for sizes in on_ranks(tmp_path, collectives):
        assert sizes == [2, 3 * 4 * 2 * 2]
