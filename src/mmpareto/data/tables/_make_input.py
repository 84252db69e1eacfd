"""How a modality is read, by its type."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Spectrogram
from mmpareto.data.tables._arrays import stacked, unchanged
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._file_inputs import ArrayInput, FileInput, FileSource, SoundInput
from mmpareto.data.tables._gray import GrayDecoder, common_range
from mmpareto.data.tables._inputs import Input, TableInput, TextInput, VectorInput, cells_of
from mmpareto.data.tables._settings import TableSettings
from mmpareto.data.tables._tabular import FEATURES
from mmpareto.data.tables._text import make_tokens
from mmpareto.errors import MMParetoError
from mmpareto.specs import Text

_LOOKED_AT = 25


def make_input(settings: TableSettings, contents: Contents, modality: str) -> Input:
    """How a modality's cells become inputs, with the statistics of the training part.

    Args:
        settings: How the table is to be read.
        contents: What it says.
        modality: Name of the modality.

    Raises:
        MMParetoError: If an array's shape, or a tokenizer, cannot be found.
    """
    kind, columns = contents.modalities[modality]
    if kind == "text":
        tokens = make_tokens(settings.tokenizer)
        return TextInput(Text(settings.text_length, tokens.vocabulary), modality, tokens)
    train = np.array(contents.of("train"))
    if kind == "table":
        return _table_input(contents, columns, train)
    if modality in contents.table.vectors:
        rows, _ = stacked(contents.table.vectors[modality], train)
        width = rows.shape[1]
        return VectorInput((width,), modality, unchanged(width), settings.standardise)
    return _file_input(settings, contents, modality, train)


def _table_input(contents: Contents, columns: list[str], train: np.ndarray) -> TableInput:
    features = []
    for column in columns:
        kind = contents.types[column].kind
        features.append(FEATURES[kind].fit(cells_of(contents.table, column, kind, train)))
    width = sum(feature.width for feature in features)
    return TableInput((width,), columns, features)


def _file_input(
    settings: TableSettings, contents: Contents, modality: str, train: np.ndarray
) -> FileInput:
    kind, root = contents.modalities[modality].kind, contents.root
    size, frames = settings.image_size, settings.frames
    name = hashlib.sha256(f"{settings.path}/{modality}".encode()).hexdigest()[:12]
    source = FileSource(modality, f"manifest-{kind}-{name}", root)
    cells = contents.table.columns[modality].take(train).drop_null()[:_LOOKED_AT]
    first = list(map(root.joinpath, cells.to_pylist()))
    if kind == "image":
        return FileInput((3, size, size), source, _image_decoder(settings, first), Frames(1, size))
    if kind == "video":
        video = VideoDecoder(settings.fps, size)
        return FileInput((3, frames, size, size), source, video, Frames(frames, size))
    if kind == "audio":
        sound = SpectrogramDecoder(settings.rate, settings.seconds)
        _, frequencies, times = sound.shape
        hidden = Spectrogram((times // 8,) * 2, (frequencies // 8,) * 2)
        return SoundInput(sound.shape, source, sound, hidden)
    shape = _array_shape(first, modality)
    width = math.prod(shape)
    array = ArrayDecoder(shape)
    return ArrayInput((width,), source, array, unchanged(width), settings.standardise)


def _image_decoder(settings: TableSettings, paths: Iterable[Path]) -> ImageDecoder | GrayDecoder:
    levels = common_range(paths)
    if levels is None:
        return ImageDecoder(settings.image_size)
    return GrayDecoder(settings.image_size, *(settings.levels or levels))


def _array_shape(paths: list[Path], modality: str) -> tuple[int, ...]:
    """The shape that most of the first arrays have."""
    shapes: Counter[tuple[int, ...]] = Counter()
    for path in paths:
        try:
            array = open_memmap(path, mode="r")
        except Exception:  # damaged files, of any kind, are named when all are decoded
            continue
        if array.size:
            shapes[array.shape] += 1
    if not shapes:
        raise MMParetoError(
            f"Files of `{modality}` should be .npy arrays. Found none among the first {len(paths)}."
        )
    return shapes.most_common(1)[0][0]
