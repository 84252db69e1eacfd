from __future__ import annotations

from torch import nn

from mmpareto.models._encoder import Encoder


def mlp(inputs: int, width: int) -> Encoder:
    """Two linear layers for arrays [inputs], each with layer norm and ReLU.

    Layer norm, since it treats a sample alike whatever else is in its batch, few as these may be.

    Example:
        >>> import torch
        >>> mlp(5, width=8).module(torch.zeros(2, 5)).shape
        torch.Size([2, 8])
    """
    layers: list[nn.Module] = []
    for size in (inputs, width):
        layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.ReLU()]
    return Encoder(nn.Sequential(*layers), width)
