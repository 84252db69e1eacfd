"""Precision, compilation and checkpoints, on several processes.

One process that accumulates the ranks' shares one after the other computes the same numbers in the
same precision, so that what is left to compare is how they were averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import SHARES, Network, assert_same_on_all, full_batch, losses, whole

pytestmark = pytest.mark.distributed

STEPS = 3


class Recomputed(nn.Sequential):
    """Keeps no activations."""

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(super().forward, x, use_reentrant=False)


def recompute(model: Network) -> None:
    for name, encoder in model.encoders.items():
        model.encoders[name] = Recomputed(*encoder)


class Compiled(nn.Sequential):
    """Not of torch's own classes, which `compile` passes over."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


def compile_encoders(model: Network) -> None:
    torch.compiler.reset()  # or the limit of compilations per function is met
    torch._functorch.config.donated_buffer = False  # what the library asks for
    for name, encoder in model.encoders.items():
        model.encoders[name] = Compiled(*encoder)
        model.encoders[name].compile(backend="aot_eager")


def to_bfloat16(model: Network) -> None:
    model.to(torch.bfloat16)


def mixed_dtypes(model: Network) -> None:
    for encoder in model.encoders.values():
        encoder[2].to(torch.float64)
        encoder.insert(2, Cast())
        encoder.append(Cast(torch.float32))


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


def unchanged(model: Network) -> None:
    pass


Context = Callable[[], AbstractContextManager[Any]]
autocast = {
    name: partial(torch.autocast, "cpu", getattr(torch, name)) for name in ("bfloat16", "float16")
}

# For each combination: what is done to the model, the context of its forward pass, and the loss
# scaler's factor.
COMBINATIONS: dict[str, tuple[Callable[[Network], None], Context, float]] = {
    "bf16 autocast": (unchanged, autocast["bfloat16"], 1),
    "fp16 with loss scaler": (unchanged, autocast["float16"], 2**10),
    "bf16 parameters": (to_bfloat16, nullcontext, 1),
    "parameters of mixed dtype": (mixed_dtypes, nullcontext, 1),
    "compiled encoders": (compile_encoders, nullcontext, 1),
    "checkpoints": (recompute, nullcontext, 1),
    "checkpoints, bf16 autocast": (recompute, autocast["bfloat16"], 1),
    "compiled encoders, bf16 autocast": (compile_encoders, autocast["bfloat16"], 1),
}


def train(
    combination: str, shares: list[list[int]], wrap: Callable[[Network], nn.Module]
) -> dict[str, Any]:
    """Some steps with clipped gradients; in the second one the joint loss is infinite, and a loss
    scaler skips it.
    """
    change, context, scale = COMBINATIONS[combination]
    model = Network()
    change(model)
    wrapped = wrap(model)
    encoders = mp.Partition(model, **model.encoders)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale > 1)
    norms, conflicts = [], 0
    graphs = counters["stats"]["unique_graphs"]
    for step in range(STEPS):
        optimizer.zero_grad()
        accumulation = mp.Accumulation(encoders, mp.MMPareto())
        for objectives in _micro_batches(model, wrapped, context, full_batch(step), shares):
            if scale > 1 and step == 1:
                objectives["joint"] = objectives["joint"] * torch.inf
            accumulation.add(
                {name: scaler.scale(loss) / len(shares) for name, loss in objectives.items()}
            )
        report = accumulation.backward()
        conflicts += sum(int(encoder.conflict) for encoder in report.values() if step != 1)
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        norms.append(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        scaler.step(optimizer)
        scaler.update()
    assert (counters["stats"]["unique_graphs"] > graphs) == ("compiled" in combination)
    return {
        "parameters": whole(model),
        "norms": norms,
        "conflicts": conflicts,
        "scale": scaler.get_scale(),
    }


def _micro_batches(
    model: Network,
    wrapped: nn.Module,
    context: Context,
    batch: Mapping[str, Tensor],
    shares: list[list[int]],
) -> Iterator[dict[str, Tensor]]:
    dtype = model.joint[0].weight.dtype
    for samples in shares:
        part = {name: values[samples] for name, values in batch.items()}
        part = {
            name: values.to(dtype) if values.is_floating_point() else values
            for name, values in part.items()
        }
        with context():
            yield losses(wrapped(part), part["label"], samples, {})


def sharded(model: Network, **options: Any) -> Network:
    for encoder in model.encoders.values():
        for layer in _of_one_dtype(encoder):
            fully_shard(layer, **options)
    return fully_shard(model, **options)


def _of_one_dtype(encoder: nn.Sequential) -> list[nn.Module]:
    """What FSDP2 takes as one."""
    if len({parameter.dtype for parameter in encoder.parameters()}) == 1:
        return [encoder]
    return [layer for layer in encoder if isinstance(layer, nn.Linear)]


WRAPPERS: dict[str, Callable[[Network], nn.Module]] = {
    "ddp": nn.parallel.DistributedDataParallel,
    "fsdp2": sharded,
}


def every_combination(rank: int, wrapper: str) -> dict[str, Any]:
    return {name: train(name, [SHARES[rank]], WRAPPERS[wrapper]) for name in COMBINATIONS}


@pytest.fixture(scope="module", params=WRAPPERS)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    return on_ranks(tmp_path_factory.mktemp(request.param), every_combination, request.param)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_combination(trained: list[dict[str, Any]], combination: str) -> None:
    results = [result[combination] for result in trained]
    expected = train(combination, SHARES, lambda model: model)
    assert_same_on_all(results)
    low = combination == "bf16 parameters"  # the average itself is rounded to 8 bits
    for name, parameter in expected["parameters"].items():
        got = results[0]["parameters"][name]
        assert got.dtype == parameter.dtype
        torch.testing.assert_close(
            got, parameter, rtol=2**-7 if low else 1e-5, atol=2**-9 if low else 1e-6
        )
    assert results[0]["conflicts"] == expected["conflicts"] > 0
    assert results[0]["scale"] == expected["scale"]
    scaled = combination == "fp16 with loss scaler"
    assert expected["scale"] == (2**9 if scaled else 1)
    for step, (norm, other) in enumerate(zip(results[0]["norms"], expected["norms"], strict=True)):
        if scaled and step == 1:
            assert not norm.isfinite()
        else:
            torch.testing.assert_close(norm, other, rtol=2**-7 if low else 1e-5, atol=0)


def sharded_in_bfloat16(rank: int) -> dict[str, Tensor]:
    """FSDP2's own mixed precision: the model computes in bfloat16, parameters and gradients are
    float32.
    """
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    model = sharded(Network(), mp_policy=policy)
    samples = SHARES[rank]
    part = {name: values[samples] for name, values in full_batch(0).items()}
    mp.backward(
        losses(model(part), part["label"], samples, {}),
        mp.Partition(model, **model.encoders),
        mp.MMPareto(),
    )
    return {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}


def test_mixed_precision_of_fsdp2(tmp_path: Path) -> None:
    received = on_ranks(tmp_path, sharded_in_bfloat16)[0]
    model = Network()
    batch = full_batch(0)
    objectives = losses(model(batch), batch["label"], list(range(len(batch["label"]))), {})
    mp.backward(objectives, mp.Partition(model, **model.encoders), mp.MMPareto())
    for name, parameter in model.named_parameters():
        assert received[name].dtype == torch.float32
        difference = (received[name] - parameter.grad).norm() / parameter.grad.norm()
        assert difference < 0.02, (
            name
        )  # bfloat16 has 8 bits; a factor or a missing average would show
