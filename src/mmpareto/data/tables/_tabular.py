"""Columns of numbers and of categories as one vector per row."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import torch
from pyarrow import compute
from torch import Tensor

_LARGEST = 1e6
_FAR = 5.0
_ENOUGH = 10
"""Of fewer numbers none is far from the others."""


def mean_and_std(numbers: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 1 in place of one that is 0 but for the rounding of the numbers.

    Example:
        >>> mean_and_std(np.array([0.1, 0.1, 0.1]))[1], mean_and_std(np.array([1.0, 3.0]))
        (1.0, (2.0, 1.0))
        >>> mean_and_std(np.array([]))
        (0.0, 1.0)
    """
    if not len(numbers):
        return 0.0, 1.0
    mean, std = float(numbers.mean()), float(numbers.std())
    rounding = 2 * sys.float_info.epsilon * float(np.abs(numbers).max())
    return mean, std if std > rounding and numbers.min() < numbers.max() else 1.0


def fence(numbers: np.ndarray) -> tuple[float, float]:
    """What lies beyond is far from all other numbers; infinite where nothing does.

    Few numbers are far if they are five times as far from the median as all others.

    Args:
        numbers: Without NaN.

    Example:
        >>> fence(np.array([*range(11), 1e9])), fence(np.array([1.0, 500.0]))
        ((0.0, 11.0), (-inf, inf))
    """
    few = max(1, len(numbers) // 20)
    if len(numbers) >= _ENOUGH:
        middle = float(np.median(numbers))
        distances = np.abs(numbers - middle)
        usual = float(np.partition(distances, -few - 1)[-few - 1])
        if 0 < _FAR * usual < distances.max():
            last = np.sort(distances)[-few - 1 :]
            jumps = (last[1:] > _FAR * last[:-1]).nonzero()[0]
            if len(jumps):
                reach = float(last[jumps[0]])
                return middle - reach, middle + reach
    return -np.inf, np.inf


class Feature(ABC):
    """How the cells of one column become numbers."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers a cell becomes."""

    @abstractmethod
    def write(self, cells: Any, rows: np.ndarray) -> None:
        """Writes the numbers for cells.

        Args:
            cells: The cells of N rows.
            rows: Zeros, float32 [N, width]; they are written there.
        """

    def encode(self, cells: Any) -> np.ndarray:
        """The numbers for the cells of N rows, float32 [N, width]."""
        rows = np.zeros((len(cells), self.width), np.float32)
        self.write(cells, rows)
        return rows


@dataclass(frozen=True)
class Standardised(Feature):
    """A number in units of the training part's spread; and 1 where there is none.

    What is further than a million standard deviations from the mean becomes a million.

    Args:
        mean: Mean of the training part; it stands in for a missing number, which thus becomes 0.
        std: Standard deviation of the training part, positive.
        low: What is less is read as this.
        high: What is more is read as this.

    Example:
        >>> feature = Standardised.fit(np.array([1.0, 3.0, np.nan]))
        >>> feature.encode(np.array([4.0, np.nan])).tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """

    mean: float
    std: float
    low: float = -np.inf
    high: float = np.inf
    width = 2

    @classmethod
    def fit(cls, cells: np.ndarray) -> Standardised:
        """Takes the statistics of the training part; far numbers count as the nearest.

        Args:
            cells: Its numbers, NaN where there is none.
        """
        numbers = cells[~np.isnan(cells)]
        low, high = fence(numbers)
        return cls(*mean_and_std(numbers.clip(low, high)), low, high)

    def write(self, cells: np.ndarray, rows: np.ndarray) -> None:
        missing = np.isnan(cells)
        units = (cells.clip(self.low, self.high) - self.mean) / self.std
        rows[:, 0] = np.where(missing, 0, units.clip(-_LARGEST, _LARGEST))
        rows[:, 1] = missing


@dataclass(frozen=True)
class OneHot(Feature):
    """A place for each category of the training part, and one for any other.

    All are 0 where there is none.

    Args:
        categories: Categories of the training part.

    Example:
        >>> feature = OneHot.fit(pyarrow.array(["red", "blue", "red", None]))
        >>> feature.encode(pyarrow.array(["red", "green", None])).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """

    categories: tuple[str, ...]

    @classmethod
    def fit(cls, cells: pyarrow.StringArray) -> OneHot:
        """Takes the categories of the training part."""
        return cls(tuple(sorted(cells.drop_null().unique().to_pylist())))

    @property
    def width(self) -> int:
        """One more than there are categories."""
        return len(self.categories) + 1

    def write(self, cells: pyarrow.StringArray, rows: np.ndarray) -> None:
        known = pyarrow.array(self.categories, pyarrow.string())
        places = compute.index_in(cells, value_set=known).fill_null(len(self.categories))
        filled = cells.is_valid().to_numpy(zero_copy_only=False).nonzero()[0]
        rows[filled, places.to_numpy()[filled]] = 1


FEATURES: dict[str, type[Standardised] | type[OneHot]] = {
    "number": Standardised,
    "category": OneHot,
}
"""By the type of the column."""


def table_tensor(features: Sequence[Feature], columns: Sequence[Any]) -> Tensor:
    """Columns of N cells as float32 [N, sum of the features' widths].

    Args:
        features: How each column's cells become numbers.
        columns: The columns: numbers, float64 [N], or text.
    """
    width = sum(feature.width for feature in features)
    rows = np.zeros((len(columns[0]), width), np.float32)
    start = 0
    for feature, cells in zip(features, columns, strict=True):
        feature.write(cells, rows[:, start : start + feature.width])
        start += feature.width
    return torch.from_numpy(rows)
