"""Videos as a few of their frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmpareto.data.caching._decoding import Decoder, Unreadable
from mmpareto.data.media._container import decoded_frames
from mmpareto.data.media._image import read_image, shrunk
from mmpareto.data.media._inside import inside
from mmpareto.errors import MMParetoError

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST = 3600
"""Seconds that a frame may be shown; if one is shown longer, the times are wrong."""


@dataclass(frozen=True)
class VideoDecoder(Decoder):
    """From a video, or a folder of its frames, to uint8 [T, 3, H, W], red, green and blue.

    From a video, for each time 0, 1 / fps, 2 / fps, ... up to the last frame, the frame shown
    closest to it. From a folder, all images, in the order of the numbers in their names.

    Args:
        fps: Frames per second.
        size: Length of the shorter side, in pixels, with the proportions kept; what is smaller
            stays as it is.

    Example:
        >>> VideoDecoder(fps=1.0, size=256)
        VideoDecoder(fps=1.0, size=256)
    """

    version = 1

    fps: float
    size: int

    def __call__(self, path: Path) -> np.ndarray:
        if path.is_dir():
            frames = _in_folder(path)
        else:
            frames = _at_times(decoded_frames(path, "video"), Fraction(self.fps))
        arrays = [np.asarray(shrunk(frame, self.size)).transpose(2, 0, 1) for frame in frames]
        if not arrays:
            raise Unreadable("holds no frame")
        if len({array.shape for array in arrays}) > 1:
            raise Unreadable("has frames of different sizes")
        return np.stack(arrays)


def _in_folder(folder: Path) -> Iterator[Image]:
    """The images in a folder, in the order of the numbers in their names."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in sorted(paths, key=_numbers_and_name):
        try:
            yield read_image(_near(folder, path))
        except Unreadable as error:
            raise Unreadable(f"{path.name} in it {error}") from error


def _numbers_and_name(path: Path) -> tuple[list[int], str]:
    """All numbers in a file's name, and the name."""
    return [int(digits) for digits in re.findall(r"\d+", path.name, re.ASCII)], path.name


def _near(folder: Path, frame: Path) -> Path:
    """The frame, which may be a link to a frame of another video, but not to anywhere else."""
    if frame.is_symlink():
        try:
            inside(folder.resolve().parent, frame)
        except MMParetoError as error:
            raise Unreadable(
                "is a link that leads out of the folder of all videos; put a copy there instead"
            ) from error
    return frame


def _at_times(frames: Iterable[Any], fps: Fraction) -> Iterator[Image]:
    """PyAV's frames that are closest to the multiples of 1 / fps, counted from the first frame."""
    number, start, before, shown = 0, Fraction(0), Fraction(0), None
    for frame in frames:
        if frame.pts is None:
            raise Unreadable("has frames without a time")
        time = frame.pts * frame.time_base
        if shown is None:
            start = time
        elif time - start - before > _LONGEST:
            raise Unreadable(
                f"has damaged times: one frame is shown for {float(time - start - before):.0f} "
                "seconds"
            )
        while shown is not None and number / fps < (before + time - start) / 2:
            yield _upright(shown)
            number += 1
        before, shown = time - start, frame
    while shown is not None and number / fps <= before:
        yield _upright(shown)
        number += 1


def _upright(frame: Any) -> Image:
    """A frame as the file says that it is to be held; phones turn the file, not the picture."""
    image: Image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
