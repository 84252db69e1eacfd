"""Models to be timed: encoders of one kind, their features concatenated, a head per objective."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import ResNetConfig, ResNetModel

CLASSES = 10
Shape = tuple[int, ...]


class Encoder(nn.Module):
    """A modality's encoder, in three parts so that its top block can be named."""

    def __init__(self, below: nn.Module, top: nn.Module, end: nn.Module) -> None:
        super().__init__()
        self.below, self.top, self.end = below, top, end

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [B, width]."""
        return self.end(self.top(self.below(inputs)))


class LateFusion(nn.Module):
    """What contenders are given.

    They read `encoders`, `top_blocks` (for geometry measured there alone) and `losses(batch)`.

    Args:
        encoders: By modality.
        widths: Of their features.
        dtype: What the forward pass computes in, by autocast.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        widths: dict[str, int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.encoders = nn.ModuleDict(encoders)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, CLASSES) for name, width in widths.items()}
        )
        self.heads["joint"] = nn.Linear(sum(widths.values()), CLASSES)

    @property
    def top_blocks(self) -> dict[str, nn.Module]:
        """Each encoder's last block."""
        return {name: encoder.top for name, encoder in self.encoders.items()}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses by objective, the joint one first."""
        with self._precision(batch["label"].device.type):
            features = {name: encoder(batch[name]) for name, encoder in self.encoders.items()}
            everything = {"joint": torch.cat(list(features.values()), 1), **features}
            return {
                name: cross_entropy(self.heads[name](value), batch["label"])
                for name, value in everything.items()
            }

    losses = forward

    def _precision(self, device: str) -> AbstractContextManager[object]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(device, self.dtype)


def mlp(shape: Shape, hidden: int = 512, width: int = 128) -> Encoder:
    """Three layers."""
    below = nn.Sequential(
        nn.Linear(shape[0], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
    )
    return Encoder(below, nn.Linear(hidden, width), nn.ReLU())


def small_cnn(shape: Shape, width: int = 16) -> Encoder:
    """Three 3x3 convolutions with batch norm, the second of stride 2."""
    first, second, third = (
        nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        for i, o, stride in ((shape[0], width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1))
    )
    return Encoder(nn.Sequential(first, second), third, nn.Flatten())


def resnet18(shape: Shape, narrowing: int = 1) -> Encoder:
    """ResNet-18 on frames [frames, channels, H, W], averaged over them.

    Its fourth stage is the top.
    """
    frames, channels, *_ = shape
    sizes = [size // narrowing for size in (64, 128, 256, 512)]
    basic = {"layer_type": "basic", "depths": [2, 2, 2, 2], "downsample_in_first_stage": False}
    backbone = ResNetModel(
        ResNetConfig(num_channels=channels, embedding_size=sizes[0], hidden_sizes=sizes, **basic)
    )
    *lower, top = backbone.encoder.stages
    end = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Unflatten(0, (-1, frames)), Mean()
    )
    return Encoder(nn.Sequential(nn.Flatten(0, 1), backbone.embedder, *lower), top, end)


def transformer(shape: Shape, width: int = 192, layers: int = 6, patch: int = 16) -> Encoder:
    """A vision transformer without class token (ViT-Ti, half as deep).

    Pre-norm layers on patches, and their mean.
    """
    channels, side, _ = shape
    blocks = [
        nn.TransformerEncoderLayer(
            width, 3, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        for _ in range(layers)
    ]
    patches = nn.Sequential(nn.Conv2d(channels, width, patch, patch), nn.Flatten(2), Transpose())
    below = nn.Sequential(patches, Position((side // patch) ** 2, width), *blocks[:-1])
    return Encoder(below, blocks[-1], nn.Sequential(Mean(), nn.LayerNorm(width)))


class Mean(nn.Module):
    """Over dimension 1: frames or tokens."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x.mean(1)


class Transpose(nn.Module):
    """From [B, width, tokens] to [B, tokens, width]."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x.transpose(1, 2)


class Position(nn.Module):
    """Adds a learned vector to each token."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + self.position


@dataclass(frozen=True)
class Case:
    """A model and a batch for it; the same each time they are asked for."""

    name: str
    encoder: Callable[[Shape], Encoder]
    shapes: dict[str, Shape]
    batch_size: int
    dtype: torch.dtype = torch.float32

    def model(self, device: torch.device | str = "cpu") -> LateFusion:
        """The model, the same on each device."""
        torch.manual_seed(0)
        encoders = {name: self.encoder(shape) for name, shape in self.shapes.items()}
        with torch.no_grad():
            widths = {
                name: e(torch.zeros(2, *self.shapes[name])).shape[1] for name, e in encoders.items()
            }
        return LateFusion(encoders, widths, self.dtype).to(device)

    def batch(self, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Noise by modality, and labels."""
        generator = torch.Generator().manual_seed(1)
        batch = {
            name: torch.randn(self.batch_size, *s, generator=generator)
            for name, s in self.shapes.items()
        }
        batch["label"] = torch.randint(CLASSES, (self.batch_size,), generator=generator)
        return {name: values.to(device) for name, values in batch.items()}
