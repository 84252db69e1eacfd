"""Images of any kind as three channels of eight bits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mmpareto.data.caching._decoding import Decoder, Unreadable
from mmpareto.errors import MMParetoError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ImageDecoder(Decoder):
    """From an image file to uint8 [3, H, W], red, green and blue.

    The picture is turned as its EXIF data say. Gray of 16 bits is scaled to 8; what is transparent
    is white, as on paper. If a file holds several pictures, the first is taken.

    Args:
        size: Length of the shorter side, in pixels, with the proportions kept; an image that is
            smaller stays as it is. None leaves all as they are.

    Example:
        >>> ImageDecoder(224)
        ImageDecoder(size=224)
    """

    version = 1

    size: int | None

    def __call__(self, path: Path) -> np.ndarray:
        image = shrunk(read_image(path), self.size)
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def opened(path: Path) -> BinaryIO:
    """The file.

    Raises:
        Unreadable: If there is none that can be opened.
    """
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be opened: {getattr(error, 'strerror', error)}") from error


def shrunk(image: Image, size: int | None) -> Image:
    """The image with a shorter side of at most `size`, but at least one pixel each way.

    The proportions are kept.
    """
    from PIL.Image import Resampling

    if size is None or min(image.size) <= size:
        return image
    scale = size / min(image.size)
    size_in_pixels = (round(scale * image.width), round(scale * image.height))
    return image.resize(size_in_pixels, Resampling.BILINEAR, reducing_gap=None)


def read_image(path: Path) -> Image:
    """The picture in a file, upright, in RGB.

    Raises:
        Unreadable: If there is none.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MMParetoError(
            "Decoding images needs Pillow. Run: pip install 'mmpareto[data]'"
        ) from error
    try:
        with opened(path) as file, warnings.catch_warnings():
            # They are about metadata, and about sizes that are still allowed.
            warnings.simplefilter("ignore")
            image = Image.open(file)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise Unreadable("is no image of a known format") from error
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("is an image too large for the memory") from error
    except Exception as error:  # at a damaged header Pillow raises any error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"is a damaged image: {reason}") from error


def _rgb(image: Image) -> Image:
    """The image in red, green and blue of eight bits."""
    from PIL import Image

    if image.mode == "F":
        raise Unreadable("has floating-point pixels; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits, or 32 in which 16 are stored
        pixels = np.asarray(image).astype(np.int64)
        if pixels.min(initial=0) < 0:
            raise Unreadable("has signed pixels; save it with levels from 0 on")
        if pixels.max(initial=0) > 65_535:
            raise Unreadable("has pixels of 32 bits; save it with 8 or 16")
        return Image.fromarray(((pixels + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
