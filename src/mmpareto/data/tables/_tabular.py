"""Columns of numbers and of categories as one vector per row."""

from __future__ import annotations

import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.data.tables._columns import parse_number

_LARGEST = 1e6


def mean_and_std(numbers: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; 1 in place of one that is 0 but for the rounding of the numbers.

    Example:
        >>> mean_and_std([0.1, 0.1, 0.1])[1], mean_and_std([]), mean_and_std([1.0, 3.0])
        (1.0, (0.0, 1.0), (2.0, 1.0))
    """
    if not numbers:
        return 0.0, 1.0
    mean = statistics.fmean(numbers)
    std = statistics.pstdev(numbers, mean)
    return mean, std if std > sys.float_info.epsilon * max(map(abs, numbers)) else 1.0


class Feature(ABC):
    """How the cells of one column become numbers."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers a cell becomes."""

    @abstractmethod
    def encode(self, cell: str) -> list[float]:
        """The numbers for a cell, which may be empty."""


@dataclass(frozen=True)
class Standardised(Feature):
    """A number, less the mean of the training part, over its standard deviation; and 1 where there is none.

    What is further than a million standard deviations from the mean becomes a million.

    Args:
        mean: Of the training part; also what stands in for a missing number, which thus becomes 0.
        std: Of the training part, positive.

    Example:
        >>> feature = Standardised.fit(["1", "3", ""])
        >>> feature.encode("4"), feature.encode("")
        ([2.0, 0.0], [0.0, 1.0])
    """

    mean: float
    std: float
    width = 2

    @classmethod
    def fit(cls, cells: Sequence[str]) -> Standardised:
        """Takes the statistics of the cells of the training part."""
        numbers = [value for cell in cells if (value := parse_number(cell)) is not None]
        return cls(*mean_and_std(numbers))

    def encode(self, cell: str) -> list[float]:
        value = parse_number(cell)
        if value is None:
            return [0.0, 1.0]
        return [max(-_LARGEST, min(_LARGEST, (value - self.mean) / self.std)), 0.0]


@dataclass(frozen=True)
class OneHot(Feature):
    """A place for each category of the training part and one for any other; all are 0 where there is none.

    Args:
        categories: Of the training part.

    Example:
        >>> feature = OneHot.fit(["red", "blue", "red", ""])
        >>> feature.encode("red"), feature.encode("green"), feature.encode("")
        ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    """

    categories: tuple[str, ...]

    @classmethod
    def fit(cls, cells: Sequence[str]) -> OneHot:
        """Takes the categories among the cells of the training part."""
        return cls(tuple(sorted({cell for cell in cells if cell})))

    @property
    def width(self) -> int:
        """One more than there are categories."""
        return len(self.categories) + 1

    def encode(self, cell: str) -> list[float]:
        places: list[str | None] = [*self.categories, None]
        own = cell if cell in self.categories else None
        return [float(bool(cell) and place == own) for place in places]


FEATURES: dict[str, type[Standardised] | type[OneHot]] = {
    "number": Standardised,
    "category": OneHot,
}
"""By the type of the column."""


def table_tensor(features: Sequence[Feature], rows: Sequence[Sequence[str]]) -> Tensor:
    """Rows of cells as float32 [N, sum of the features' widths].

    Args:
        features: Of each column.
        rows: For each row the cells of these columns.
    """
    encoded = [
        [
            number
            for feature, cell in zip(features, cells, strict=True)
            for number in feature.encode(cell)
        ]
        for cells in rows
    ]
    return torch.tensor(encoded, dtype=torch.float32)
