"""How the cells of a modality become a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._cache import Cache
from mmpareto.data.caching._uncached import Uncached
from mmpareto.data.samples._augment import Plain
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._arrays import Flat, stacked, standardising
from mmpareto.data.tables._table import Table
from mmpareto.data.tables._tabular import OneHot, Standardised, table_tensor
from mmpareto.data.tables._text import Pretrained, Trigrams, token_tensor
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape, Text


@dataclass(frozen=True, eq=False)
class Opened:
    """A modality of N samples.

    Args:
        items: Its items.
        index: For each sample the place of its item, or -1; int64 [N].
        transform: From an item to a sample.
        damaged: For each sample whose item cannot be decoded, why.
        absent: For each sample that has a file, but nothing of the modality in it, why.
    """

    items: Cache | Uncached | Tensor
    index: Tensor
    transform: Transform
    damaged: Mapping[int, str] = field(default_factory=dict)
    absent: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Selection:
    """The samples of which a modality is opened.

    Args:
        places: Their places in the table, int64 [N].
        train: Which of them are for training, bool [N].
        workers: Processes that decode; 0 decodes in this one.
        progress: Called with the modality, and how many of its files are done of how many.
        cached: Whether what is decoded is kept on the disk.
    """

    places: np.ndarray
    train: np.ndarray
    workers: int = 0
    progress: Progress | None = None
    cached: bool = True


@dataclass(frozen=True, eq=False)
class Input(ABC):
    """How the cells of a modality become a model's inputs.

    Args:
        shape: Shape of one sample.
    """

    shape: Shape

    @abstractmethod
    def open(self, table: Table, samples: Selection) -> Opened:
        """The modality of all samples, decoded if it has not been before."""

    @property
    @abstractmethod
    def cells(self) -> dict[str, str]:
        """The columns that it reads, and what is in them: number, category, text, file or list."""

    def fitted(self, transform: Transform) -> Self:
        """The input as it reads new rows.

        Args:
            transform: What `open` returned with the statistics of the training part.
        """
        return self


@dataclass(frozen=True, eq=False)
class VectorInput(Input):
    """Lists of numbers in the table itself.

    Args:
        column: Their column.
        transform: What they are brought to their units by.
        standardise: Whether these are the training part's, and not known yet.
    """

    column: str
    transform: Flat
    standardise: bool

    @property
    def cells(self) -> dict[str, str]:
        return {self.column: "list"}

    def fitted(self, transform: Transform) -> Self:
        return replace(self, transform=cast("Flat", transform), standardise=False)

    def open(self, table: Table, samples: Selection) -> Opened:
        (width,) = cast("tuple[int]", self.shape)
        rows, damaged = stacked(table.vectors[self.column], samples.places, width)
        index = _index(table, [self.column], samples)
        flat = self.transform
        if self.standardise:
            usable = samples.train & (index.numpy() >= 0)
            usable[list(damaged)] = False
            flat = standardising(rows[usable], width)
        return Opened(torch.from_numpy(rows), index, flat, damaged)


@dataclass(frozen=True, eq=False)
class TextInput(Input):
    """Text.

    Args:
        column: Its column.
        tokens: From text to numbers.
    """

    column: str
    tokens: Trigrams | Pretrained

    @property
    def cells(self) -> dict[str, str]:
        return {self.column: "text"}

    def open(self, table: Table, samples: Selection) -> Opened:
        assert isinstance(self.shape, Text)
        texts = table.columns[self.column].take(samples.places).fill_null("").to_pylist()
        items = token_tensor(texts, self.tokens, self.shape.length)
        return Opened(items, _index(table, [self.column], samples), Plain())


@dataclass(frozen=True, eq=False)
class TableInput(Input):
    """Numbers and categories.

    Args:
        columns: Their columns.
        features: How each column becomes numbers.

    Raises:
        MMParetoError: If they do not fit each other.
    """

    columns: Sequence[str]
    features: Sequence[Standardised | OneHot]

    def __post_init__(self) -> None:
        width = sum(feature.width for feature in self.features)
        if self.shape != (width,) or len(self.columns) != len(self.features):
            raise MMParetoError(
                f"A table should have a feature for each of {len(self.columns)} columns and the "
                f"shape {self.shape}. Found {len(self.features)} features with {width} numbers."
            )

    @property
    def kinds(self) -> list[str]:
        """Types of the columns."""
        return ["number" if isinstance(f, Standardised) else "category" for f in self.features]

    @property
    def cells(self) -> dict[str, str]:
        return dict(zip(self.columns, self.kinds, strict=True))

    def open(self, table: Table, samples: Selection) -> Opened:
        columns = []
        for name, kind in zip(self.columns, self.kinds, strict=True):
            columns.append(cells_of(table, name, kind, samples.places))
        items = table_tensor(self.features, columns)
        return Opened(items, _index(table, self.columns, samples), Plain())


def cells_of(table: Table, name: str, kind: str, places: np.ndarray) -> Any:
    """Cells of a column as its feature takes them."""
    if kind == "number":
        return table.numbers(name)[places]
    return table.columns[name].take(places)


def _index(table: Table, columns: Sequence[str], samples: Selection) -> Tensor:
    """Places of items of which there is one for each sample, but -1 where all cells are empty."""
    filled = np.logical_or.reduce(list(map(table.filled, columns)))
    present = filled[samples.places]
    return torch.from_numpy(np.where(present, np.arange(len(present)), -1))
