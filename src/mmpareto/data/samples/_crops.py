"""Which parts of a video a sample is made of."""

from __future__ import annotations

import math

import numpy as np

_TRIES = 10


def choose_frames(available: int, count: int, random: np.random.Generator | None) -> list[int]:
    """Which frames are taken of a video of so many: one from each of `count` segments.

    As MMPareto's authors do it, who number frames from 1: any frame of a segment in training, else
    the frame before the segment's middle, and the first for want of one.

    Args:
        available: Frames that there are.
        count: Frames that are needed.
        random: What the frames are drawn from; None takes the middle.

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

    Ten are drawn until one fits into the picture; after that it is the largest of a proportion
    allowed, in the middle.

    Args:
        height: Of the picture.
        width: Of the picture.
        random: What it is drawn from.

    Returns:
        Top, left, height and width.
    """
    for _ in range(_TRIES):
        area = height * width * random.uniform(0.08, 1)
        proportion = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        high, wide = round(math.sqrt(area / proportion)), round(math.sqrt(area * proportion))
        if 0 < high <= height and 0 < wide <= width:
            return (
                int(random.integers(height - high + 1)),
                int(random.integers(width - wide + 1)),
                high,
                wide,
            )
    high, wide = (
        min(height, max(1, round(width / (3 / 4)))),
        min(width, max(1, round(height * (4 / 3)))),
    )
    return (height - high) // 2, (width - wide) // 2, high, wide
