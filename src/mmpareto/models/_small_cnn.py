from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn

from mmpareto.models._checks import check_images


def stages(channels: int, width: int) -> list[nn.Sequential]:
    """Three 3x3 convolutions with batch norm and ReLU, the second of stride 2.

    Args:
        channels: Of the input.
        width: Output channels of the first convolution; the others have twice as many.

    Returns:
        Modules from maps [B, channels, H, W] by way of [B, width, H, W] to [B, 2 width, ceil(H/2), ceil(W/2)].
    """
    made = []
    for inputs, outputs, stride in ((channels, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        made.append(nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU()))
    return made


def small_cnn(channels: int, width: int) -> nn.Module:
    """The three `stages`, flattened, for small images.

    Returns:
        A module from images [B, channels, H, W] to features [B, 2 width ceil(H/2) ceil(W/2)].

    Example:
        >>> import torch
        >>> small_cnn(channels=3, width=16)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 512])
    """
    return nn.Sequential(*(layer for stage in stages(channels, width) for layer in stage), nn.Flatten())


def feature_width(shape: tuple[int, ...], width: int) -> int:
    """Width of the features that a `small_cnn` makes of images [channels, H, W]."""
    _, height, breadth = shape
    return 2 * width * math.ceil(height / 2) * math.ceil(breadth / 2)


def small_cnns(shapes: Mapping[str, tuple[int, ...]], width: int) -> tuple[dict[str, nn.Module], dict[str, int]]:
    """For each modality a `small_cnn`, and the width of its features.

    Raises:
        MMParetoError: If there is no modality, or one is no images.
    """
    check_images(shapes)
    encoders = {modality: small_cnn(shape[0], width) for modality, shape in shapes.items()}
    return encoders, {modality: feature_width(shape, width) for modality, shape in shapes.items()}
