"""Channels-last convolutions, and gradients that are sparse."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mmpareto as mp
from networks import every_method, with_and_without_geometry
from slow_step import apart


class Images(nn.Module):
    """Convolutional encoders with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoders = nn.ModuleDict(
            {name: self._encoder(channels) for name, channels in (("rgb", 3), ("depth", 2))}
        )
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(8, 3), "rgb": nn.Linear(4, 3), "depth": nn.Linear(4, 3)}
        )
        self.double()

    @staticmethod
    def _encoder(channels: int) -> nn.Module:
        norm = nn.BatchNorm2d(5)
        return nn.Sequential(
            nn.Conv2d(channels, 5, 3, bias=False),
            norm,
            nn.ReLU(),
            nn.Conv2d(5, 4, 3),
            nn.AdaptiveAvgPool2d(1),
        )

    def losses(self, memory_format: torch.memory_format, seed: int = 0) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        images = {
            "rgb": torch.randn(4, 3, 6, 6).double(),
            "depth": torch.randn(4, 2, 6, 6).double(),
        }
        images = {
            name: image.contiguous(memory_format=memory_format) for name, image in images.items()
        }
        features = {
            name: encoder(images[name]).flatten(1) for name, encoder in self.encoders.items()
        }
        features["joint"] = torch.cat([features["rgb"], features["depth"]], 1)
        labels = torch.randint(3, (4,))
        return {name: F.cross_entropy(self.heads[name](x), labels) for name, x in features.items()}


def named(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@every_method
@with_and_without_geometry
def test_channels_last_is_contiguous_in_other_order(
    method: mp.Method, geometry: mp.Geometry | None
) -> None:
    model = Images()
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    for seed in range(3):
        for net, layout in ((model, torch.contiguous_format), (last, torch.channels_last)):
            net.zero_grad()
            mp.backward(net.losses(layout, seed), net.encoders, method, geometry=geometry)
        assert apart(named(last), named(model)) <= 1e-11
    for name, buffer in model.named_buffers():  # the statistics were taken once per forward pass
        assert torch.allclose(buffer, last.get_buffer(name), rtol=1e-12), name


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_memory_format_is_that_of_autograd(
    layout: torch.memory_format, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    model = Images().to(memory_format=layout)
    sum(model.losses(layout).values()).backward()
    want = {name: gradient.stride() for name, gradient in named(model).items()}
    model.zero_grad()
    mp.backward(model.losses(layout), model.encoders, method, geometry=geometry)
    assert {name: gradient.stride() for name, gradient in named(model).items()} == want
    assert want["encoders.rgb.0.weight"] == model.encoders["rgb"][0].weight.stride()


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("inside", [True, False], ids=["encoder", "rest"])
def test_sparse_embeddings_are_refused(
    inside: bool, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    torch.manual_seed(0)
    words, head = nn.EmbeddingBag(7, 3, sparse=True), nn.Linear(3, 2)
    features = words(torch.tensor([[0, 2], [2, 5]]))
    losses = {"joint": head(features).square().mean(), "text": features.square().mean()}
    for parameter in [*words.parameters(), *head.parameters()]:
        parameter.grad = torch.full_like(parameter, 7)
    with pytest.raises(
        mp.MMParetoError, match=r"dense. Found a sparse one, .* shape \(7, 3\).* sparse=False"
    ):
        mp.backward(losses, {"text": words if inside else head}, method, geometry=geometry)
    assert all(
        (parameter.grad == 7).all() for parameter in [*words.parameters(), *head.parameters()]
    )


@with_and_without_geometry
@every_method
@pytest.mark.parametrize("equation", ["of,bf->bo", "fo,bf->bo"])
def test_fused_optimizers_find_the_parameters_strides(
    equation: str, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """Autograd returns gradients of contractions in other strides, and lets none of them into
    ``.grad``.
    """
    torch.manual_seed(0)
    weight, head = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4, 4))
    feature = torch.einsum(equation, weight, torch.randn(3, 4))
    losses = {
        "joint": torch.einsum(equation, head, feature).square().mean(),
        "audio": feature.square().mean(),
    }
    mp.backward(losses, {"audio": [weight]}, method, geometry=geometry)
    assert weight.grad.stride() == weight.stride()
    assert head.grad.stride() == head.stride()


def test_complex_parameters_are_refused() -> None:
    weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(
        mp.MMParetoError, match=r"Gradients should be real\. Found torch\.complex64"
    ):
        mp.backward({"joint": weight.abs().sum()}, {"audio": [weight]}, mp.MMPareto())
    assert weight.grad is None
