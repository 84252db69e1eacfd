"""How the cells of a modality become a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._cache import Cache
from mmpareto.data.samples._augment import Plain
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._arrays import stacked, standardising, unchanged
from mmpareto.data.tables._table import Table
from mmpareto.data.tables._tabular import Feature, table_tensor
from mmpareto.data.tables._text import Tokens, token_tensor
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

    items: Cache | Tensor
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
    """

    places: np.ndarray
    train: np.ndarray
    workers: int = 0
    progress: Progress | None = None


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


@dataclass(frozen=True, eq=False)
class VectorInput(Input):
    """Lists of numbers in the table itself.

    Args:
        column: Their column.
        standardise: Whether they are brought to the training part's units.
    """

    column: str
    standardise: bool

    def open(self, table: Table, samples: Selection) -> Opened:
        rows, damaged = stacked(table.vectors[self.column], samples.places)
        index = _index(table, [self.column], samples)
        flat = unchanged(rows.shape[1])
        if self.standardise:
            usable = samples.train & (index.numpy() >= 0)
            usable[list(damaged)] = False
            flat = standardising(rows[usable], rows.shape[1])
        return Opened(torch.from_numpy(rows), index, flat, damaged)


@dataclass(frozen=True, eq=False)
class TextInput(Input):
    """Text.

    Args:
        column: Its column.
        tokens: From text to numbers.
    """

    column: str
    tokens: Tokens

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
        kinds: Types of the columns.
    """

    columns: Sequence[str]
    features: Sequence[Feature]
    kinds: Sequence[str]

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
