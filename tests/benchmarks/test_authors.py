"""The authors' recipe, written anew for the benchmark, does what theirs does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.authors import authors_recipe
from benchmarks.cases import TINY
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from balancing.test_golden import GOLDEN, TOLERANCE, model, relative
from reference import mmpareto_reference


class Wrapped(nn.Module):
    """The network of the traces, as contenders expect a model."""

    def __init__(self, net: nn.ModuleDict) -> None:
        super().__init__()
        self.net = net
        self.encoders = {"audio": net["audio_net"], "visual": net["visual_net"]}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        audio, visual = (encoder(batch[name]) for name, encoder in self.encoders.items())
        logits = {
            "joint": self.net["head"](torch.cat([audio, visual], 1)),
            "audio": self.net["head_audio"](audio),
            "visual": self.net["head_video"](visual),
        }
        return {name: cross_entropy(scores, batch["label"]) for name, scores in logits.items()}


@pytest.mark.parametrize("trace", ["mlp_aligned", "mlp_conflict", "conv_bn"])
def test_traces_of_the_authors(trace: str) -> None:
    with np.load(GOLDEN / f"mmpareto_{trace}.npz") as arrays:
        golden = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    net = model(trace)
    net.load_state_dict(
        {key.removeprefix("init/"): golden[key] for key in golden if key.startswith("init/")}
    )
    wrapped = Wrapped(net)
    backward = authors_recipe(wrapped)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for step in range(len(golden["cosine"])):
        backward(
            wrapped.losses(
                {name: golden[f"batch{step}/{name}"] for name in ("audio", "visual", "label")}
            )
        )
        for name, parameter in net.named_parameters():
            assert relative(parameter.grad, golden[f"grad{step}/{name}"]) <= TOLERANCE, (
                f"step {step}, {name}"
            )
        optimizer.step()
    for name, parameter in net.named_parameters():
        assert relative(parameter.detach(), golden[f"final/{name}"]) <= TOLERANCE, name


@pytest.mark.parametrize("case", ["tiny-mlp", "tiny-cnn"])
def test_reference(case: str) -> None:
    """With the joint loss turned around, those are in conflict that were not."""
    net = TINY[case].model().double()
    batch = {
        name: v.double() if v.is_floating_point() else v for name, v in TINY[case].batch().items()
    }
    conflicts = []
    for sign in (1, -1):
        losses = [
            {
                name: sign * loss if name == "joint" else loss
                for name, loss in net.losses(batch).items()
            }
            for _ in range(2)
        ]
        conflicts.append(mmpareto_reference.backward(losses[0], net, net.encoders, 1.5, "tensor"))
        expected = {name: parameter.grad for name, parameter in net.named_parameters()}
        authors_recipe(net, gamma=1.5)(losses[1])
        torch.testing.assert_close(
            {name: parameter.grad for name, parameter in net.named_parameters()}, expected
        )
    assert all(conflicts[0][name] != conflicts[1][name] for name in net.encoders)
