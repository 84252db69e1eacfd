"""Gray images of more than eight bits, as X-rays and scans are stored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmpareto.data.caching._decoding import Decoder, Unreadable
from mmpareto.data.media._image import ImageDecoder, shrunk

_MOST = 1_000_000
"""Pixels of an image that are looked at for its range."""


@dataclass(frozen=True)
class GrayDecoder(Decoder):
    """As `ImageDecoder`, but gray of more than eight bits is stretched from a range.

    Args:
        size: The shorter side is brought to this.
        black: Level that becomes black; what is less does too.
        white: Level that becomes white; what is more does too.

    Example:
        >>> GrayDecoder(64, black=0.0, white=4095.0)
        GrayDecoder(size=64, black=0.0, white=4095.0)
    """

    version = 1

    size: int
    black: float
    white: float

    def __call__(self, path: Path) -> np.ndarray:
        from PIL import Image

        levels = deep_levels(path)
        if levels is None:
            return ImageDecoder(self.size)(path)
        if not np.isfinite(levels).all():
            raise Unreadable("holds pixels that are not finite")
        shade = (levels - self.black) / (self.white - self.black)
        image = Image.fromarray((255 * shade.clip(0, 1)).round().astype(np.uint8))
        pixels = np.asarray(shrunk(image, self.size).convert("RGB"))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def deep_levels(path: Path) -> np.ndarray | None:
    """The gray levels of an image that has more than eight bits, float64 [H, W], upright.

    None for other images, and for what cannot be read, which `ImageDecoder` names.
    """
    from PIL import Image, ImageOps

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata
            image = Image.open(file)
            if image.mode[0] not in "IF":
                return None
            return np.asarray(ImageOps.exif_transpose(image), np.float64)
    except Exception:  # of any kind that damaged files can cause
        return None


def common_range(paths: Iterable[Path]) -> tuple[float, float] | None:
    """The range of gray levels that images keep within, but for a thousandth at either end.

    None if none of the images has more than eight bits.
    """
    ranges = []
    for path in paths:
        levels = deep_levels(path)
        if levels is not None and levels.size and np.isfinite(levels).all():
            step = -(-levels.size // _MOST)
            ranges.append(np.percentile(levels.reshape(-1)[::step], [0.1, 99.9]))
    if not ranges:
        return None
    low, high = np.min(ranges, 0)[0], np.max(ranges, 0)[1]
    return float(low), float(high if high > low else low + 1)
