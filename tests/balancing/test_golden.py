"""Traces of the authors' training loop, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = (
    1e-5  # the traces are float32 throughout, and the per-tensor rescale amplifies their rounding
)


def encoder(trace: str, inputs: int) -> nn.Module:
    if "mlp" in trace:
        return nn.Sequential(nn.Linear(inputs, 24), nn.Tanh(), nn.Linear(24, 12))
    return nn.Sequential(
        nn.Conv2d(inputs, 6, 3, 2, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 10, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def model(trace: str) -> nn.ModuleDict:
    (audio, visual), width = ((20, 14), 12) if "mlp" in trace else ((1, 3), 10)
    return nn.ModuleDict(
        {
            "audio_net": encoder(trace, audio),
            "visual_net": encoder(trace, visual),
            "head": nn.Linear(2 * width, 6),
            "head_audio": nn.Linear(width, 6),
            "head_video": nn.Linear(width, 6),
        }
    )


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trace", ["mlp_aligned", "mlp_conflict", "conv_bn"])
def test_same_training(trace: str, dtype: torch.dtype) -> None:
    with np.load(GOLDEN / f"mmpareto_{trace}.npz") as arrays:
        golden = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    net = model(trace)
    net.load_state_dict(
        {key.removeprefix("init/"): golden[key] for key in golden if key.startswith("init/")}
    )
    net.to(dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    encoders = mp.Partition(net, audio=net["audio_net"], visual=net["visual_net"])
    method = mp.MMPareto(gamma=1.5, granularity="tensor")

    for step, cosine in enumerate(golden["cosine"]):
        label = golden[f"batch{step}/label"]
        audio = net["audio_net"](golden[f"batch{step}/audio"].to(dtype))
        visual = net["visual_net"](golden[f"batch{step}/visual"].to(dtype))
        logits = {
            "joint": net["head"](torch.cat([audio, visual], 1)),
            "audio": net["head_audio"](audio),
            "visual": net["head_video"](visual),
        }
        losses = {
            name: nn.functional.cross_entropy(scores, label) for name, scores in logits.items()
        }
        optimizer.zero_grad()
        report = mp.backward(losses, encoders, method)
        for name, parameter in net.named_parameters():
            assert relative(parameter.grad, golden[f"grad{step}/{name}"]) <= TOLERANCE, (
                f"step {step}, {name}"
            )
        for modality, expected in zip(("audio", "visual"), cosine, strict=True):
            assert abs(report[modality].cosine - expected) <= TOLERANCE, f"step {step}, {modality}"
        optimizer.step()

    for name, state in net.state_dict().items():  # batch norm's statistics too
        if state.is_floating_point():
            assert relative(state, golden[f"final/{name}"]) <= TOLERANCE, name
        else:
            assert torch.equal(state, golden[f"final/{name}"]), name


def test_traces_take_both_branches() -> None:
    with np.load(GOLDEN / "mmpareto_mlp_aligned.npz") as arrays:
        assert 0 < (arrays["cosine"] > 0).mean() < 1
