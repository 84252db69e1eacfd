"""Two processes equal one with the full batch: plain replicas, and under
DistributedDataParallel.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import (
    CALLS,
    EVERYTHING,
    METHODS,
    SHARES,
    Network,
    Present,
    assert_equal,
    assert_equal_norms,
    assert_same_on_all,
    full_batch,
    losses,
    train,
)

pytestmark = pytest.mark.distributed

WRAPPERS: dict[str, tuple[Callable[[nn.Module], nn.Module], bool]] = {
    "replica": (lambda model: model, False),
    "ddp": (nn.parallel.DistributedDataParallel, False),
    "ddp-no-sync": (nn.parallel.DistributedDataParallel, True),
    "ddp-find-unused": (
        lambda m: nn.parallel.DistributedDataParallel(m, find_unused_parameters=True),
        False,
    ),
    "ddp-static-graph": (
        lambda m: nn.parallel.DistributedDataParallel(m, static_graph=True),
        False,
    ),
    "ddp-bucket-views": (
        lambda m: nn.parallel.DistributedDataParallel(m, gradient_as_bucket_view=True),
        True,
    ),
}


def every_method(rank: int, wrapper: str) -> dict[tuple[Any, ...], Any]:
    wrap, no_sync = WRAPPERS[wrapper]
    results = {}
    for name, method in METHODS.items():
        for geometry in (True, False):
            model = Network()
            wrapped = wrap(model)
            context = wrapped.no_sync if no_sync else nullcontext
            shares = [SHARES[rank]]
            outcome = train(
                model, shares, method, wrapped=wrapped, context=context, geometry=geometry
            )
            results[name, geometry] = outcome
    return results


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_method(tmp_path: Path, wrapper: str) -> None:
    results = on_ranks(tmp_path, every_method, wrapper)
    for name, method in METHODS.items():
        for geometry in (True, False):
            expected = train(Network(), [EVERYTHING], method, geometry=geometry)
            assert_same_on_all([result[name, geometry] for result in results])
            assert_equal(results[0][name, geometry], expected)
            assert_equal_norms(results[0][name, geometry], expected)
    assert results[0][repr(mp.MMPareto()), True]["conflicts"] >= 3


# Samples that have a modality. Rank 0 has the even ones: it lacks the text of the whole batch in
# some of these.
PRESENCE: dict[str, Present] = {
    "all": {},
    "one rank lacks text": {"text": [1, 5, 7]},
    "each rank lacks one": {"text": [3, 9], "audio": [0, 4, 6, 10]},
    "nobody has text": {"text": []},
    "some": {"text": [0, 1, 2], "visual": [5, 6, 8], "audio": [11]},
}


def every_presence(rank: int) -> dict[tuple[Any, ...], Any]:
    results = {}
    for case, present in PRESENCE.items():
        for call in CALLS:
            for geometry in (True, False):
                for name in (repr(mp.MMPareto()), repr(mp.Joint())):
                    halves = [SHARES[rank][:3], SHARES[rank][3:]]
                    shares = halves if call == "once" else [SHARES[rank]]
                    results[case, call, geometry, name] = train(
                        Network(),
                        shares,
                        METHODS[name],
                        call=CALLS[call],
                        geometry=geometry,
                        present=present,
                    )
    return results


def test_unequal_presence_and_accumulation(tmp_path: Path) -> None:
    results = on_ranks(tmp_path, every_presence)
    for key, got in results[0].items():
        case, call, geometry, name = key
        measured = geometry or call == "once"
        expected = train(
            Network(), [EVERYTHING], METHODS[name], geometry=measured, present=PRESENCE[case]
        )
        assert_same_on_all([result[key] for result in results])
        assert_equal(got, expected)
    assert sum(got["conflicts"] > 0 for got in results[0].values()) > 10


def decisions_on_each_micro_batch(rank: int) -> dict[str, Any]:
    return train(Network(), [SHARES[rank][:3], SHARES[rank][3:]], mp.MMPareto())


def test_integrating_each_micro_batch(tmp_path: Path) -> None:
    """Each micro-batch of all ranks together is decided on by itself."""
    results = on_ranks(tmp_path, decisions_on_each_micro_batch)
    halves = [sorted(SHARES[0][:3] + SHARES[1][:3]), sorted(SHARES[0][3:] + SHARES[1][3:])]
    assert_same_on_all(results)
    assert_equal(results[0], train(Network(), halves, mp.MMPareto()))


def groups(rank: int) -> dict[str, Tensor]:
    alone = [torch.distributed.new_group([other]) for other in range(2)][rank]
    received = {}
    for name, how in {
        "default": {},
        "none": {"average": False},
        "alone": {"group": alone},
        "world": {"group": torch.distributed.group.WORLD},
    }.items():
        parameter = nn.Parameter(torch.zeros(2))
        head = nn.Parameter(torch.zeros(1))
        model = nn.ParameterList([parameter, head])
        objectives = {"joint": (rank + 1) * parameter.sum() + 4 * rank * head.sum()}
        mp.backward(objectives, mp.Partition(model, audio=[parameter]), mp.Uniform(), **how)
        received[name] = torch.cat([parameter.grad, head.grad])
    return received


def test_a_group_is_named_or_averaging_is_switched_off(tmp_path: Path) -> None:
    for rank, received in enumerate(on_ranks(tmp_path, groups)):
        own = [rank + 1.0, rank + 1.0, 4.0 * rank]
        assert received["none"].tolist() == received["alone"].tolist() == own
        assert received["default"].tolist() == received["world"].tolist() == [1.5, 1.5, 2.0]


def hosts_apart(rank: int) -> dict[str, Any]:
    """As where the default group's messages lie in the devices' memory."""
    torch.distributed.get_backend_config = lambda group: "cuda:nccl"
    return train(Network(), [SHARES[rank]], mp.MMPareto(), present={"text": [1, 5, 7]})


def test_ranks_agree_through_their_hosts_where_the_group_cannot(tmp_path: Path) -> None:
    results = on_ranks(tmp_path, hosts_apart)
    expected = train(Network(), [EVERYTHING], mp.MMPareto(), present={"text": [1, 5, 7]})
    assert_same_on_all(results)
    assert_equal(results[0], expected)


def collectives(rank: int) -> dict[str, list[int]]:
    """Entries of each all-reduce in a step."""
    counts: dict[str, list[int]] = {}
    reduce = torch.distributed.all_reduce
    for name, method, geometry in (
        ("mmpareto", mp.MMPareto(), True),
        ("uniform", mp.Uniform(), False),
    ):
        sizes = counts[name] = []
        torch.distributed.all_reduce = lambda x, *args, sizes=sizes, **kw: (
            sizes.append(x.numel()),
            reduce(x, *args, **kw),
        )[1]
        train(Network(), [SHARES[rank]], method, geometry=geometry, steps=1)
    return counts


def test_one_collective_per_objective(tmp_path: Path) -> None:
    """Beside one of 16 bytes to agree, and one for what is in no encoder."""
    model = Network()
    encoders = {
        name: sum(p.numel() for p in encoder.parameters())
        for name, encoder in model.encoders.items()
    }
    every = sum(p.numel() for p in model.parameters())
    inside = sum(encoders.values())
    for counts in on_ranks(tmp_path, collectives):
        assert counts["mmpareto"] == [2, inside, *encoders.values(), every - inside]
        assert counts["uniform"] == [2, every]


def one_fails(rank: int) -> list[str]:
    """One rank has a loss without a graph, or no loss at all; in the end no rank has one."""
    model = Network()
    encoders = mp.Partition(model, **model.encoders)
    batch = {name: values[SHARES[rank]] for name, values in full_batch(0).items()}
    found = []
    for case in ("detached", "absent", "absent everywhere"):
        objectives = losses(model(batch), batch["label"], SHARES[rank], {})
        if case == "detached" and rank:
            objectives["text"] = objectives["text"].detach()
        if case == "absent everywhere" or (case == "absent" and rank):
            objectives = {}
        try:
            mp.backward(objectives, encoders, mp.MMPareto())
            found.append("")
        except mp.MMParetoError as error:
            found.append(str(error))
        if case == "detached":
            assert all(parameter.grad is None for parameter in model.parameters())
    return found


def test_what_is_refused_on_one_rank_is_refused_on_all(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, one_fails)
    assert first[0].startswith(
        "Another process should have been able to make this step. Found on rank 1: Loss 'text'"
    )
    assert second[0].startswith("Loss 'text' should depend on a trainable parameter")
    assert first[1] == second[1] == ""  # a rank without any loss counts as zero
    assert (
        first[2]
        == second[2]
        == "Parameter `losses` should have at least one objective. Found none."
    )


class Convolution(nn.Module):
    """Its parameters' strides are not those of a flat copy."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.projection = nn.Parameter(torch.randn(5, 4))

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        feature = self.encoder(x).mean((2, 3))
        return {
            "joint": torch.einsum("of,bf->bo", self.projection, feature).square().mean(),
            "image": feature.sum(1).mean(),
        }


def strides(rank: int) -> list[Tensor]:
    model = Convolution()
    x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))[rank::2]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    mp.backward(model.losses(x), mp.Partition(model, image=model.encoder), mp.Uniform())
    assert all(p.grad.stride() == p.stride() for p in model.parameters())
    optimizer.step()
    return [p.detach() for p in model.parameters()]


def test_fused_optimizers_step_as_after_autograd(tmp_path: Path) -> None:
    model = Convolution()
    x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    sum(model.losses(x).values()).backward()
    torch.optim.Adam(model.parameters(), lr=0.1, fused=True).step()
    for trained in on_ranks(tmp_path, strides):
        for got, parameter in zip(trained, model.parameters(), strict=True):
            torch.testing.assert_close(got, parameter.detach(), rtol=1e-4, atol=1e-5)


def shorter(rank: int) -> dict[str, Any]:
    results = {}
    for name, present in (("all", {}), ("one rank lacks text", {"text": [1, 5, 7]})):
        for every in (1, 2):
            model = Network()
            top = {m: encoder[2] for m, encoder in model.encoders.items()}
            geometry = mp.Geometry(every=every, probe=top)
            results[name, every] = train(
                model, [SHARES[rank]], mp.MMPareto(), geometry=geometry, present=present, steps=4
            )
    return results


def test_steps_that_pass_most_of_an_encoder_once(tmp_path: Path) -> None:
    results = on_ranks(tmp_path, shorter)
    for name, present in (("all", {}), ("one rank lacks text", {"text": [1, 5, 7]})):
        for every in (1, 2):
            model = Network()
            top = {m: encoder[2] for m, encoder in model.encoders.items()}
            geometry = mp.Geometry(every=every, probe=top)
            expected = train(
                model, [EVERYTHING], mp.MMPareto(), geometry=geometry, present=present, steps=4
            )
            assert_same_on_all([result[name, every] for result in results])
            assert_equal(results[0][name, every], expected)
            assert expected["conflicts"]
