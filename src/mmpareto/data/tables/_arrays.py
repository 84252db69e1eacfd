"""Arrays of numbers as inputs: flat, and in units of the training part's spread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow
import torch
from torch import Tensor

from mmpareto.data.samples._cached import Transform
from mmpareto.errors import MMParetoError

_LARGEST = 1e6


@dataclass(frozen=True, eq=False)
class Flat(Transform):
    """An array's numbers in one row, each less its mean and over its standard deviation.

    Args:
        mean: float32 [width].
        std: Positive, float32 [width].

    Raises:
        MMParetoError: If they are not.

    Example:
        >>> flat = Flat(np.zeros(2, np.float32), np.full(2, 2, np.float32))
        >>> flat(np.array([[4.0], [6.0]]), None)
        tensor([2., 3.])
    """

    mean: np.ndarray
    std: np.ndarray

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape or not (self.std > 0).all():
            raise MMParetoError(
                "Means and standard deviations should be equally many, and the latter positive. "
                f"Found {len(self.mean)} and {len(self.std)}."
            )

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        units = (item.reshape(-1).astype(np.float32) - self.mean) / self.std
        return torch.from_numpy(units.clip(-_LARGEST, _LARGEST))


def unchanged(width: int) -> Flat:
    """Numbers as they are."""
    return Flat(np.zeros(width, np.float32), np.ones(width, np.float32))


def standardising(items: Iterable[np.ndarray], width: int) -> Flat:
    """What gives each number of arrays the mean 0 and the standard deviation 1.

    Args:
        items: Arrays of the training part, of one shape.
        width: Number of numbers in each.

    Example:
        >>> flat = standardising([np.array([1.0, 7.0]), np.array([3.0, 7.0])], 2)
        >>> flat.mean.tolist(), flat.std.tolist()
        ([2.0, 7.0], [1.0, 1.0])
    """
    count, first = 0, np.zeros(width)
    total, squares, largest = np.zeros(width), np.zeros(width), np.zeros(width)
    for item in items:
        numbers = item.reshape(-1).astype(np.float64)
        if not count:
            first = numbers
        count += 1
        offset = numbers - first  # so that squares of large numbers do not swallow their spread
        total += offset
        squares += offset * offset
        np.maximum(largest, np.abs(numbers), out=largest)
    if not count:
        return unchanged(width)
    variance = (squares / count - (total / count) ** 2).clip(0)
    rounding = 2 * np.finfo(np.float32).eps * largest
    std = np.where(np.sqrt(variance) > rounding, np.sqrt(variance), 1)
    return Flat((first + total / count).astype(np.float32), std.astype(np.float32))


def stacked(
    column: pyarrow.ListArray, places: np.ndarray, width: int | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Lists of numbers as rows of one array.

    Args:
        column: The lists.
        places: Which of them, int64 [N].
        width: How many numbers each should have; None for as many as most have.

    Returns:
        float32 [N, width], with zeros where a list cannot be used; and why, by the number of its
        row.

    Example:
        >>> lists = pyarrow.array([[1.0, 2.0], [3.0], [5.0, None], [4.0, 6.0]])
        >>> rows, faults = stacked(lists, np.array([0, 1, 3]))
        >>> rows.tolist(), faults
        ([[1.0, 2.0], [0.0, 0.0], [4.0, 6.0]], {1: 'has 1 numbers, not 2'})
    """
    lists = column.take(pyarrow.array(places))
    lengths = np.diff(lists.offsets.to_numpy())
    if width is None:
        width = int(np.bincount(lengths[lengths > 0]).argmax()) if lengths.any() else 0
    rows = np.zeros((len(lists), width), np.float32)
    fits = lengths == width
    values = lists.filter(pyarrow.array(fits)).flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        rows[fits] = values.reshape(-1, width)
    faults: dict[int, str] = {}
    for row in np.flatnonzero(~fits & (lengths > 0)).tolist():
        faults[row] = f"has {lengths[row]} numbers, not {width}"
    for row in np.flatnonzero(~np.isfinite(rows).all(1)).tolist():
        faults[row] = "holds numbers that are not finite in single precision"
    return rows, faults
