"""Rows of arrays as inputs: axes as models have them, in units of the training part's spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mmpareto.data.samples._transform import Transform
from mmpareto.errors import MMParetoError

Kind = Literal["features", "sequence", "image"]

_LARGEST = 1e6
_CHUNK = 1024
"""Rows that are turned into double precision at a time."""
_RANKS: dict[str, tuple[int, ...]] = {"sequence": (1, 2), "image": (2, 3)}
"""Axes that a row of each kind may have; features may have any."""


def kind_of(array: np.ndarray, name: str, stated: Kind | None) -> Kind:
    """What the rows of an array are: as stated, or by their axes.

    One axis is features; two are a sequence [length, channels], or an image if they are whole
    bytes; three are an image [height, width, channels].

    Raises:
        MMParetoError: If the array is none of these.
    """
    axes = array.ndim - 1
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise MMParetoError(
            f"Array '{name}' should be numbers, a row for each sample. Found {array.dtype} "
            f"{list(array.shape)}. Name the modalities with data.inputs to leave it out."
        )
    kind = stated
    if kind is None and axes in (1, 2, 3):
        is_image = axes == 3 or (axes == 2 and array.dtype == np.uint8)
        kind = "features" if axes == 1 else "image" if is_image else "sequence"
    if kind is None or axes < 1 or axes not in _RANKS.get(kind, (axes,)):
        raise MMParetoError(
            f"Array '{name}' should be features [n, d], a sequence [n, t, d] or an image [n, h, w] "
            f"or [n, h, w, c]. Found {list(array.shape)} as {kind or 'none of these'}."
        )
    return kind


@dataclass(frozen=True, eq=False)
class Scaled(Transform):
    """A row less its mean, over its standard deviation, in a model's order of axes.

    Args:
        kind: What the row is.
        mean: float32 [d], of each feature or channel.
        std: Positive, float32 [d].

    Example:
        >>> scaled = Scaled("image", np.zeros(3, np.float32), np.full(3, 2, np.float32))
        >>> scaled(np.ones((5, 4, 3), np.uint8), None).shape
        torch.Size([3, 5, 4])
    """

    kind: Kind
    mean: np.ndarray
    std: np.ndarray

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        numbers = channels_last(item[None], self.kind)[0].astype(np.float32)
        units = ((numbers - self.mean) / self.std).clip(-_LARGEST, _LARGEST)
        if self.kind == "image":
            units = units.transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(units))

    def shape(self, array: np.ndarray) -> tuple[int, ...]:
        """Shape of a transformed row of an array."""
        return tuple(self(np.asarray(array[0]), None).shape)


def channels_last(rows: np.ndarray, kind: Kind) -> np.ndarray:
    """Rows whose last axis is what has a mean of its own: features [n, d], others [n, ..., d]."""
    if kind == "features":
        return rows.reshape(len(rows), -1)
    rank = 3 if kind == "sequence" else 4
    return rows if rows.ndim == rank else rows[..., None]


def unscaled(array: np.ndarray, kind: Kind) -> Scaled:
    """Rows as they are."""
    width = channels_last(array[:1], kind).shape[-1]
    return Scaled(kind, np.zeros(width, np.float32), np.ones(width, np.float32))


def scaled(array: np.ndarray, rows: np.ndarray, kind: Kind) -> Scaled:
    """What gives each feature, or channel, the mean 0 and the standard deviation 1.

    Of one that is constant but for rounding the deviation is left as it is.

    Args:
        array: The rows [N, ...].
        rows: Numbers of those of the training part.
        kind: What a row is.

    Example:
        >>> rows = np.array([[1.0, 7.0], [3.0, 7.0], [90.0, 9.0]])
        >>> scaled(rows, np.array([0, 1]), "features").std
        array([1., 1.], dtype=float32)
    """
    neutral = unscaled(array, kind)
    if not len(rows):
        return neutral
    width = len(neutral.mean)
    total, squares, largest = np.zeros(width), np.zeros(width), np.zeros(width)
    first, count = channels_last(array[rows[:1]], kind).reshape(-1, width)[0].astype(np.float64), 0
    for start in range(0, len(rows), _CHUNK):
        chunk = channels_last(array[rows[start : start + _CHUNK]], kind).reshape(-1, width)
        offset = chunk.astype(np.float64) - first  # so that large numbers do not swallow a spread
        count += len(chunk)
        total += offset.sum(0)
        squares += (offset * offset).sum(0)
        np.maximum(largest, np.abs(chunk.astype(np.float64)).max(0), out=largest)
    std = np.sqrt((squares / count - (total / count) ** 2).clip(0))
    rounding = 2 * np.finfo(np.float32).eps * largest
    mean = first + total / count
    return Scaled(
        kind, mean.astype(np.float32), np.where(std > rounding, std, 1).astype(np.float32)
    )
