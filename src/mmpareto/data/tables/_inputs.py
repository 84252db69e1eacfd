"""How the cells of a modality become a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._cache import Cache, Decoder, Source, cached
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._tabular import Feature, table_tensor
from mmpareto.data.tables._text import Tokens, token_tensor
from mmpareto.specs import Shape, Text

Row = tuple[str, ...]
"""A sample's cells of one modality, column by column; all of them empty where it has none."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A modality of all samples.

    Args:
        items: Its items.
        index: For each sample the place of its item, or -1; int64 [N].
        damaged: For each sample whose item cannot be decoded, why.
    """

    items: Cache | Tensor
    index: Tensor
    damaged: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Input(ABC):
    """How the cells of a modality become a model's inputs.

    Args:
        shape: Of one sample.
        transform: From an item to a sample.
    """

    shape: Shape
    transform: Transform

    @abstractmethod
    def open(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> Opened:
        """The modality of all samples, decoded if it has not been before."""


@dataclass(frozen=True)
class Flat(Transform):
    """An array's numbers in one row."""

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        return torch.tensor(item).flatten()


@dataclass(frozen=True)
class Files(Input):
    """Paths of files.

    Args:
        modality: Its name.
        cache: Name of the cache.
        root: Folder in which the files are.
        decoder: From a file to an array.
    """

    modality: str
    cache: str
    root: Path
    decoder: Decoder

    def open(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> Opened:
        places = {
            cell: place
            for place, cell in enumerate(dict.fromkeys(cell for (cell,) in rows if cell))
        }
        sources = [Source(cell, self.root / cell) for cell in places]
        told = (
            None
            if progress is None
            else lambda _, done, total: progress(self.modality, done, total)
        )
        cache = cached(self.cache, sources, self.decoder, workers=workers, progress=told)
        index = [places.get(cell, -1) for (cell,) in rows]
        damaged = {
            sample: cache.damaged[place]
            for sample, place in enumerate(index)
            if place in cache.damaged
        }
        return Opened(cache, torch.tensor(index), damaged)


@dataclass(frozen=True)
class Texts(Input):
    """Text.

    Args:
        tokens: From text to numbers.
    """

    tokens: Tokens

    def open(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> Opened:
        assert isinstance(self.shape, Text)
        return Opened(
            token_tensor([cell for (cell,) in rows], self.tokens, self.shape.length), _present(rows)
        )


@dataclass(frozen=True)
class TableRows(Input):
    """Numbers and categories.

    Args:
        features: Of each column.
    """

    features: tuple[Feature, ...]

    def open(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> Opened:
        return Opened(table_tensor(self.features, rows), _present(rows))


def _present(rows: Sequence[Row]) -> Tensor:
    """Places of items of which there is one for each sample, but -1 where all cells are empty."""
    return torch.tensor([place if any(cells) else -1 for place, cells in enumerate(rows)])
