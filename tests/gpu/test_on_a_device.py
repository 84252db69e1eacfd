"""What a processor cannot show: `make gpu` runs this where there is a CUDA device."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from benchmarks.cases import CASES
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import mmpareto as mp
from distributed.launch import on_ranks
from mmpareto import recipes
from mmpareto.diagnostics import GeometryLog
from mmpareto.models import LateFusionCNN
from mmpareto.training import save_config
from mmpareto.training.run import run
from networks import LateFusion, every_exported_method
from training.test_resumed_geometry import ALONE, KILLED

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel")


def model_on_device(*modalities: str) -> tuple[LateFusion, dict[str, Tensor]]:
    model = LateFusion(*modalities, dtype=torch.float32).cuda()
    return model, {name: values.cuda() for name, values in model.batch().items()}


@pytest.mark.parametrize("modalities", [["audio"], ["audio", "visual", "text"]], ids=len)
@every_exported_method
def test_no_synchronization(method: mp.Method, modalities: list[str]) -> None:
    """In a step, its log, an accumulated step and a balanced loss."""
    if method.facts.host_sync:
        pytest.skip("says that it waits")
    model, batch = model_on_device(*modalities)
    partition, log = model.partition, GeometryLog()
    accumulation = mp.Accumulation(partition, method)
    for number in range(3):
        losses = [model.losses(batch) for _ in range(3)]
        torch.cuda.synchronize()
        # The first step may wait: libraries are loaded, memory is asked for.
        torch.cuda.set_sync_debug_mode("error" if number else "default")
        try:
            log.record(number, mp.backward(losses[0], partition, method))
            accumulation.add(losses[1])
            accumulation.backward()
            mp.BalancedLoss(partition, method)(losses[2]).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_launches(dtype: torch.dtype) -> None:
    """Few kernels beyond those of the passes, and no wait."""
    model = CASES["resnet-reduced"].model("cuda").to(dtype)
    batch = CASES["resnet-reduced"].batch("cuda")
    batch |= {name: batch[name].to(dtype) for name in model.encoders}
    partition = mp.Partition(model, **model.encoders)

    def passes(losses: dict[str, Tensor]) -> None:
        parameters = list(model.parameters())
        for loss in losses.values():
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)

    counts = {}
    for name, backward in {
        "passes": passes,
        "step": lambda losses: mp.backward(losses, partition, mp.MMPareto()),
    }.items():
        for _ in range(3):
            backward(model.losses(batch))
        losses = model.losses(batch)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            backward(losses)
        events = {event.key: event.count for event in profiler.key_averages()}
        assert not events.get("cudaStreamSynchronize")
        counts[name] = sum(events.get(launch, 0) for launch in LAUNCHES)
    # A product may be two launches, one that sums up parts.
    assert counts["step"] - counts["passes"] <= 120


@pytest.mark.parametrize("mode", ["default", "max-autotune-no-cudagraphs"])
def test_compiled_encoders(mode: str) -> None:
    import torch._functorch.config  # keeps buffers that a second pass needs

    model, batch = model_on_device("audio", "visual")
    eager = copy.deepcopy(model)
    partitions = [m.partition for m in (model, eager)]
    with torch._functorch.config.patch(donated_buffer=False):
        for encoder in model.encoders.values():
            encoder.compile(mode=mode)
        for _ in range(5):
            torch.compiler.cudagraph_mark_step_begin()
            for m, partition in zip((model, eager), partitions, strict=True):
                m.zero_grad()
                mp.backward(m.losses(batch), partition, mp.MMPareto())
            for compiled, plain in zip(model.parameters(), eager.parameters(), strict=True):
                torch.testing.assert_close(compiled.grad, plain.grad, rtol=1e-4, atol=1e-5)


def test_encoders_compiled_to_cuda_graphs_are_refused() -> None:
    model, batch = model_on_device("audio", "visual")
    for encoder in model.encoders.values():
        encoder.compile(mode="reduce-overhead")
    for _ in range(3):  # run as they are, recorded, replayed
        torch.compiler.cudagraph_mark_step_begin()
        with pytest.raises(mp.MMParetoError, match="no-cudagraphs"):
            mp.backward(model.losses(batch), model.partition, mp.MMPareto())


def on_nccl(rank: int, world: int) -> list[Tensor]:
    torch.cuda.set_device(rank)
    dist.destroy_process_group()
    store = dist.TCPStore("127.0.0.1", 29_537, world, is_master=rank == 0)
    dist.init_process_group("nccl", store=store, rank=rank, world_size=world)
    return step_on_share(lambda values: values[rank::world])


def step_on_share(share: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Gradients of encoders that are large enough to be divided, on a share of a batch."""
    torch.manual_seed(0)
    encoders = {name: nn.Linear(600, 600) for name in ("audio", "visual")}
    model = nn.ModuleDict({**encoders, "head": nn.Linear(1200, 3)}).cuda()
    inputs = {name: share(torch.randn(8, 600)).cuda() for name in encoders}
    features = {name: encoder(inputs[name]) for name, encoder in encoders.items()}
    losses = {name: feature.square().mean() for name, feature in features.items()}
    losses["joint"] = model["head"](torch.cat(list(features.values()), 1)).exp().mean()
    mp.backward(losses, mp.Partition(model, **encoders), mp.MMPareto())
    return [parameter.grad.cpu() for parameter in model.parameters()]


@pytest.mark.distributed
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_devices_equal_one(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, on_nccl, 2)
    for one, other, alone in zip(first, second, step_on_share(lambda v: v), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("continued_on", ["gpu", "cpu"])
def test_a_killed_training_continues(continued_on: str, tmp_path: Path) -> None:
    """On the device to the bit; on a processor to the end."""
    base = replace(recipes.cg_digits(), model=LateFusionCNN(width=2), epochs=3)
    config, out = replace(base, accelerator="gpu"), tmp_path / "out"
    save_config(config, tmp_path / "given.yaml")
    command = [sys.executable, "-c", KILLED + ALONE, tmp_path / "given.yaml", out]
    killed = subprocess.run(command, env={**os.environ}, check=False)
    assert killed.returncode == -9
    metrics = run(replace(config, accelerator=continued_on), out, progress=False)
    if continued_on == "gpu":
        assert metrics == run(config, tmp_path / "finished", progress=False)
        assert (out / "geometry.csv").read_bytes() == (
            tmp_path / "finished" / "geometry.csv"
        ).read_bytes()
    else:
        assert 0 <= metrics["test"]["joint_accuracy"] <= 1
