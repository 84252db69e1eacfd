from __future__ import annotations

import torch
from torch import Tensor, nn

from mmpareto.models._tokens import STD, layer, learned
from mmpareto.specs import Text

_HEADS, _LAYERS = 4, 2


class TextEncoder(nn.Module):
    """A small transformer on tokens.

    Its features are those of one more token, which summarizes the others. Tokens 0 fill up what a
    shorter text leaves free: nothing attends to them. Of a text without any other token the summary
    alone is left, so that its features are learned, and finite.

    Args:
        shape: Length and vocabulary of the texts.
        dim: Width of the features, a multiple of 4.

    Example:
        >>> encoder = TextEncoder(Text(length=6, vocabulary=100), dim=8)
        >>> encoder(torch.tensor([[5, 99, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])).shape
        torch.Size([2, 8])
    """

    def __init__(self, shape: Text, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, dim, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(STD)
        self.summary, self.positions = learned(1, 1, dim), learned(1, shape.length, dim)
        self.layers = nn.ModuleList(layer(dim, _HEADS) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features [B, dim] of tokens [B, length]."""
        x = torch.cat(
            [self.summary.expand(tokens.shape[0], -1, -1), self.embedding(tokens) + self.positions],
            1,
        )
        padding = torch.cat(
            [tokens.new_zeros(tokens.shape[0], 1, dtype=torch.bool), tokens == 0], 1
        )
        for transform in self.layers:
            x = transform(x, src_key_padding_mask=padding)
        features: Tensor = self.norm(x[:, 0])
        return features
