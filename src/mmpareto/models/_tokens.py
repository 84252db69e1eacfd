from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Of learned tokens and positions at the start, as in BERT and in the authors' code of MBT.
STD = 0.02


def learned(*shape: int) -> nn.Parameter:
    """Tokens or positions to learn, normal around zero."""
    return nn.Parameter(STD * torch.randn(*shape))


def layer(dim: int, heads: int) -> nn.TransformerEncoderLayer:
    """A transformer layer on tokens [B, tokens, dim]; pre-norm, without dropout."""
    return nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True
    )


class TokenEncoder(nn.Module):
    """Makes tokens of an image's patches, and has the transformer layers to run them through.

    Images are padded with zeros, at the right and at the bottom, to whole patches.

    Args:
        shape: The shape of one image, [channels, height, width].
        dim: Width of the tokens.
        heads: Attention heads, a divisor of `dim`.
        layers: Number of transformer layers.
        patch: Height and width of a patch in pixels.

    Attributes:
        layers: The layers, each from tokens [B, tokens, dim] to the same; pre-norm, without
            dropout.
        norm: What the last layer's output is normalized by.

    Example:
        >>> encoder = TokenEncoder((3, 8, 7), dim=32, heads=4, layers=2, patch=4)
        >>> encoder(torch.zeros(5, 3, 8, 7)).shape
        torch.Size([5, 5, 32])
    """

    def __init__(
        self, shape: tuple[int, ...], dim: int, heads: int, layers: int, patch: int
    ) -> None:
        super().__init__()
        channels, height, width = shape
        padding = nn.ZeroPad2d((0, -width % patch, 0, -height % patch))
        self.patches = nn.Sequential(
            padding, nn.Conv2d(channels, dim, patch, stride=patch), nn.Flatten(2)
        )
        self.summary = learned(1, 1, dim)
        patches = math.ceil(height / patch) * math.ceil(width / patch)
        self.positions = learned(1, 1 + patches, dim)
        self.layers = nn.ModuleList(layer(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens [B, 1 + patches, dim] of images [B, channels, height, width].

        The first one is to summarize the others.
        """
        patches = self.patches(images).transpose(1, 2)
        return (
            torch.cat([self.summary.expand(images.shape[0], -1, -1), patches], 1) + self.positions
        )
