"""Which parts of a video a sample is made of."""

from __future__ import annotations

import math

import numpy as np

_TRIES = 10
"""Crops that are drawn until one fits into the picture."""

_AREAS = (0.08, 1.0)
"""Least and largest share of the picture that a crop covers."""

_PROPORTIONS = (3 / 4, 4 / 3)
"""Least and largest width of a crop, divided by its height."""


def choose_frames(available: int, count: int, random: np.random.Generator | None) -> list[int]:
    """Numbers of the frames that are taken of a video: one from each of `count` segments.

    As MMPareto's authors do it, who number frames from 1: any frame of a segment in training, else
    the frame before the segment's middle, and the first for want of one.

    Args:
        available: Number of the video's frames.
        count: Number of frames that are needed.
        random: Generator that the frames are drawn from; None takes the middle.

    Example:
        >>> choose_frames(10, 3, None), choose_frames(2, 3, None)
        ([0, 3, 6], [0, 0, 1])
    """
    segment = available // count
    if segment == 0:
        return [number * available // count for number in range(count)]
    if random is None:
        return [max(number * segment + segment // 2 - 1, 0) for number in range(count)]
    return [number * segment + int(random.integers(segment)) for number in range(count)]


def random_crop(height: int, width: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """A part of a picture, of 8% to all of its area and 3/4 to 4/3 as wide as high.

    Ten are drawn until one fits into the picture; after that it is the largest of an allowed
    proportion, in the middle.

    Args:
        height: Height of the picture.
        width: Width of the picture.
        random: Generator that the part is drawn from.

    Returns:
        Top, left, height and width.
    """
    narrowest, widest = _PROPORTIONS
    for _ in range(_TRIES):
        area = height * width * random.uniform(*_AREAS)
        proportion = math.exp(random.uniform(math.log(narrowest), math.log(widest)))
        high, wide = round(math.sqrt(area / proportion)), round(math.sqrt(area * proportion))
        if 0 < high <= height and 0 < wide <= width:
            top = int(random.integers(height - high + 1))
            left = int(random.integers(width - wide + 1))
            return top, left, high, wide
    high = min(height, max(1, round(width / narrowest)))
    wide = min(width, max(1, round(height * widest)))
    return (height - high) // 2, (width - wide) // 2, high, wide
