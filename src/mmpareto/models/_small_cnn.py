from __future__ import annotations

import math

from torch import nn

from mmpareto.models._encoder import Encoder

_SMALL = 32  # pixels: larger images shrink before their features are flattened
_AREA = 64  # pixels that are left of a larger image, at most


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def stages(channels: int, width: int) -> list[nn.Sequential]:
    """Three 3x3 convolutions with batch norm and ReLU, the second of stride 2.

    Args:
        channels: Number of channels of the input.
        width: Output channels of the first convolution; the others have twice as many.

    Returns:
        Modules from maps [B, channels, H, W] by way of [B, width, H, W] to [B, 2 width, ceil(H/2),
        ceil(W/2)].
    """
    return [
        _stage(channels, width, 1),
        _stage(width, 2 * width, 2),
        _stage(2 * width, 2 * width, 1),
    ]


def feature_width(shape: tuple[int, ...], width: int) -> int:
    """Width of the flattened maps that `stages` make of images [channels, H, W]."""
    _, height, breadth = shape
    return 2 * width * math.ceil(height / 2) * math.ceil(breadth / 2)


def small_cnn(shape: tuple[int, ...], width: int) -> Encoder:
    """A convolutional network for images.

    Up to 32 pixels it is the three `stages`, flattened. Larger images go through stages of stride
    2, each with twice the channels of the one before, at most 8 width, until no more than 64 pixels
    are left, and are flattened then.

    Args:
        shape: The shape of one image, [channels, H, W].
        width: Output channels of the first convolution.

    Example:
        >>> small_cnn((3, 8, 8), width=16).width, small_cnn((1, 128, 1024), width=16).width
        (512, 4096)
    """
    channels, height, breadth = shape
    if max(height, breadth) <= _SMALL:
        layers: list[nn.Module] = []
        for stage in stages(channels, width):
            layers.extend(stage)
        return Encoder(nn.Sequential(*layers, nn.Flatten()), feature_width(shape, width))
    halvings: list[nn.Module] = []
    while height * breadth > _AREA:
        outputs = min(width * 2 ** len(halvings), 8 * width)
        halvings.append(_stage(channels, outputs, 2))
        channels, height, breadth = outputs, math.ceil(height / 2), math.ceil(breadth / 2)
    return Encoder(nn.Sequential(*halvings, nn.Flatten()), channels * height * breadth)
