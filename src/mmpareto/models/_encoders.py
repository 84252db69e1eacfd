"""An encoder for every shape of a sample."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mmpareto.errors import MMParetoError
from mmpareto.models._checks import check_modalities
from mmpareto.models._encoder import Encoder
from mmpareto.models._frames import FrameEncoder
from mmpareto.models._mlp import mlp
from mmpareto.models._resnet import resnet18
from mmpareto.models._sequence import SequenceEncoder
from mmpareto.models._small_cnn import small_cnn
from mmpareto.models._text import TextEncoder
from mmpareto.specs import Shape, Text

ENCODERS = ("small", "resnet18")
"""What can encode images, spectrograms and the frames of videos."""

_PER_CHANNEL = 8  # width of layers that read a whole sample, per channel of a convolution


def make_encoders(
    shapes: Mapping[str, Shape], width: int, images: str = "small"
) -> tuple[dict[str, nn.Module], dict[str, int]]:
    """For each modality an encoder, and the width of its features.

    Args:
        shapes: For each modality the shape of one sample.
        width: Output channels of the first convolution of small networks.
        images: One of `ENCODERS`.

    Raises:
        MMParetoError: If there is no modality, or one has a shape that no encoder takes.
    """
    check_modalities(shapes)
    modules: dict[str, nn.Module] = {}
    widths: dict[str, int] = {}
    for modality, shape in shapes.items():
        modules[modality], widths[modality] = _encoder(modality, shape, width, images)
    return modules, widths


def _encoder(modality: str, shape: Shape, width: int, images: str) -> Encoder:
    if isinstance(shape, Text):
        return Encoder(TextEncoder(shape, _PER_CHANNEL * width), _PER_CHANNEL * width)
    if not 1 <= len(shape) <= 4 or min(shape) < 1:
        raise MMParetoError(
            f"Modality '{modality}' should be images or spectrograms [channels, height, width], "
            "videos [channels, frames, height, width], sequences [length, channels], arrays "
            f"[width] or texts. Found {shape}."
        )
    if len(shape) == 1:
        return mlp(shape[0], _PER_CHANNEL * width)
    if len(shape) == 2:
        return Encoder(SequenceEncoder(shape[1], _PER_CHANNEL * width), _PER_CHANNEL * width)
    frame = (shape[0], *shape[-2:])
    encoder = resnet18(frame) if images == "resnet18" else small_cnn(frame, width)
    return encoder if len(shape) == 3 else Encoder(FrameEncoder(encoder.module), encoder.width)
