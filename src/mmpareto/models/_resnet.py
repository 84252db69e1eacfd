from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models._encoder import Encoder

_SHRINKS = 32  # times in height and width


class ResNet18(nn.Module):
    """ResNet-18 without its classifier, its weights drawn at random.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385,
    as implemented in transformers; nothing is downloaded.

    Args:
        channels: Number of channels of the images.

    Raises:
        MMParetoError: If transformers is not installed.
    """

    width = 512

    def __init__(self, channels: int) -> None:
        super().__init__()
        try:
            from transformers import ResNetConfig, ResNetModel
        except ImportError as error:
            raise MMParetoError(
                "Parameter `encoder` resnet18 needs transformers. Found none. Run: pip install "
                "'mmpareto[encoders]'"
            ) from error
        settings = ResNetConfig(
            num_channels=channels,
            embedding_size=64,
            hidden_sizes=[64, 128, 256, 512],
            depths=[2, 2, 2, 2],
            layer_type="basic",
            downsample_in_first_stage=False,
        )
        self.backbone: Any = ResNetModel(settings)

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, 512] of images [B, channels, H, W]."""
        features: Tensor = self.backbone(images).pooler_output.flatten(1)
        return features


def resnet18(shape: tuple[int, ...]) -> Encoder:
    """ResNet-18 for images [channels, H, W].

    Raises:
        MMParetoError: If nothing but one pixel were left of an image, over which a batch of one has
            no spread.
    """
    channels, height, breadth = shape
    if math.ceil(height / _SHRINKS) * math.ceil(breadth / _SHRINKS) == 1:
        raise MMParetoError(
            f"Parameter `encoder` resnet18 should be for images of more than {_SHRINKS} pixels in "
            f"height or width. Found {shape}. Use small."
        )
    return Encoder(ResNet18(channels), ResNet18.width)
