"""Files as a model's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._cache import Cache, Source, cached
from mmpareto.data.caching._uncached import Uncached
from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Spectrogram
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._arrays import Flat, standardising
from mmpareto.data.tables._gray import GrayDecoder
from mmpareto.data.tables._inputs import Input, Opened, Selection
from mmpareto.data.tables._sounds import nothing_to_hear
from mmpareto.data.tables._table import Table


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
    root: Path = Path()


@dataclass(frozen=True, eq=False)
class FileInput(Input):
    """Paths of files.

    Args:
        source: Where they are.
        decoder: From a file to an array.
        transform: From an array to a sample.
    """

    source: FileSource
    decoder: ImageDecoder | GrayDecoder | VideoDecoder | SpectrogramDecoder | ArrayDecoder
    transform: Frames | Spectrogram | Flat

    @property
    def cells(self) -> dict[str, str]:
        return {self.source.column: "file"}

    def beside(self, root: Path) -> Self:
        """The input for files that are in another folder."""
        return replace(self, source=replace(self.source, root=root))

    def open(self, table: Table, samples: Selection) -> Opened:
        cells = table.columns[self.source.column].take(samples.places).to_pylist()
        places: dict[str, int] = {}
        for cell in cells:
            if cell:
                places.setdefault(cell, len(places))
        items = self._decoded([Source(cell, self.source.root / cell) for cell in places], samples)
        index = [places.get(cell, -1) for cell in cells]
        damaged: dict[int, str] = {}
        for sample, place in enumerate(index):
            if place in items.damaged:
                damaged[sample] = items.damaged[place]
        return Opened(items, torch.tensor(index), self.transform, damaged)

    def _decoded(self, sources: Sequence[Source], samples: Selection) -> Cache | Uncached:
        if not samples.cached:
            return Uncached(sources, self.decoder)
        return cached(
            self.source.cache,
            sources,
            self.decoder,
            workers=samples.workers,
            progress=self._progress(samples.progress),
        )

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

    transform: Flat
    standardise: bool

    def fitted(self, transform: Transform) -> Self:
        return replace(self, transform=cast("Flat", transform), standardise=False)

    def open(self, table: Table, samples: Selection) -> Opened:
        opened = super().open(table, samples)
        if not self.standardise:
            return opened
        (width,) = cast("tuple[int]", self.shape)
        train = opened.index[torch.from_numpy(samples.train)]
        return replace(opened, transform=standardising(_known(opened, train), width))


def _known(opened: Opened, index: torch.Tensor) -> Iterator[np.ndarray]:
    """The items at an index that are there and undamaged, each once."""
    for place in sorted(set(index.tolist()) - {-1}):
        item = opened.items[place]
        if item is not None:
            yield np.asarray(item)
