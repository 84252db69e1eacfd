from __future__ import annotations

from torch import nn


def small_cnn(channels: int, width: int) -> nn.Module:
    """Three 3x3 convolutions with batch norm and ReLU, the second of stride 2, for small images.

    Args:
        channels: Of the input.
        width: Output channels of the first convolution; the others have twice as many.

    Returns:
        A module from images [B, channels, H, W] to features [B, 2 width ceil(H/2) ceil(W/2)].

    Example:
        >>> import torch
        >>> small_cnn(channels=3, width=16)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 512])
    """
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((channels, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())
