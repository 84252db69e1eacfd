"""How the cells of a modality become a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._cache import Cache, Decoder, Source, cached
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.samples._augment import Plain
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._arrays import stacked, standardising, unchanged
from mmpareto.data.tables._sounds import nothing_to_hear
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


@dataclass(frozen=True)
class FileSource:
    """Where files are, and what is decoded of them.

    Args:
        column: Column of their paths.
        cache: Name of the cache.
        root: Folder in which the files are.
    """

    column: str
    cache: str
    root: Path


@dataclass(frozen=True, eq=False)
class FileInput(Input):
    """Paths of files.

    Args:
        source: Where they are.
        decoder: From a file to an array.
        transform: From an array to a sample.
    """

    source: FileSource
    decoder: Decoder
    transform: Transform

    def open(self, table: Table, samples: Selection) -> Opened:
        cells = table.columns[self.source.column].take(samples.places).to_pylist()
        places: dict[str, int] = {}
        for cell in cells:
            if cell:
                places.setdefault(cell, len(places))
        cache = cached(
            self.source.cache,
            [Source(cell, self.source.root / cell) for cell in places],
            self.decoder,
            workers=samples.workers,
            progress=self._progress(samples.progress),
        )
        index = [places.get(cell, -1) for cell in cells]
        damaged: dict[int, str] = {}
        for sample, place in enumerate(index):
            if place in cache.damaged:
                damaged[sample] = cache.damaged[place]
        return Opened(cache, torch.tensor(index), self.transform, damaged)

    def _progress(self, progress: Progress | None) -> Progress | None:
        """Tells the modality's name in place of the cache's."""
        if progress is None:
            return None
        return lambda _, done, total: progress(self.source.column, done, total)


@dataclass(frozen=True, eq=False)
class SoundInput(FileInput):
    """Paths of recordings; one that is silent, or a video without sound, is missing."""

    decoder: SpectrogramDecoder

    def open(self, table: Table, samples: Selection) -> Opened:
        opened = super().open(table, samples)
        cells = table.columns[self.source.column].take(samples.places)
        absent: dict[int, str] = {}
        reasons: dict[int, str] = {-1: ""}
        for sample, place in enumerate(opened.index.tolist()):
            if place not in reasons:
                path, item = self.source.root / str(cells[sample]), opened.items[place]
                spectrogram = None if item is None else np.asarray(item)
                reasons[place] = nothing_to_hear(path, spectrogram, self.decoder.seconds)
            if reasons[place]:
                absent[sample] = reasons[place]
        index = opened.index.clone()
        index[list(absent)] = -1
        damaged = {n: reason for n, reason in opened.damaged.items() if n not in absent}
        return replace(opened, index=index, damaged=damaged, absent=absent)


@dataclass(frozen=True, eq=False)
class ArrayInput(FileInput):
    """Paths of arrays.

    Args:
        standardise: Whether they are brought to the training part's units.
    """

    standardise: bool

    def open(self, table: Table, samples: Selection) -> Opened:
        opened = super().open(table, samples)
        if not self.standardise:
            return opened
        places = opened.index[torch.from_numpy(samples.train)].tolist()
        items = (opened.items[place] for place in sorted({*places} - {-1}))
        known = (np.asarray(item) for item in items if item is not None)
        (width,) = cast("tuple[int]", self.shape)
        return replace(opened, transform=standardising(known, width))


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
    masks = [table.filled(column) for column in columns]
    present = np.logical_or.reduce(masks)[samples.places]
    return torch.from_numpy(np.where(present, np.arange(len(present)), -1))
