"""How a manifest's modality is read, by its type."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from pathlib import Path

from numpy.lib.format import open_memmap

from mmpareto.data.caching._cache import Decoder
from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames, Plain, Spectrogram
from mmpareto.data.samples._cached import Transform
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._inputs import Files, Flat, Input, TableRows, Texts
from mmpareto.data.tables._settings import TableSettings
from mmpareto.data.tables._tabular import FEATURES
from mmpareto.data.tables._text import make_tokens
from mmpareto.errors import MMParetoError
from mmpareto.specs import Text

_LOOKED_AT = 25


def make_input(settings: TableSettings, contents: Contents, modality: str) -> Input:
    """How a modality's cells become inputs, with the statistics of the training part.

    Raises:
        MMParetoError: If an array's shape, or a tokenizer, cannot be found.
    """
    kind, columns = contents.modalities[modality]
    train = [contents.cells(modality, place) for place in contents.of("train")]
    if kind == "text":
        tokens = make_tokens(settings.tokenizer)
        return Texts(Text(settings.text_length, tokens.vocabulary), Plain(), tokens)
    if kind == "table":
        kinds = (contents.types[column].kind for column in columns)
        features = tuple(
            FEATURES[kind].fit(cells)
            for kind, cells in zip(kinds, zip(*train, strict=True), strict=True)
        )
        return TableRows((sum(feature.width for feature in features),), Plain(), features)
    paths = [contents.root / cell for (cell,) in train if cell]
    shape, decoder, transform = _reading(kind, settings, modality, paths)
    column = hashlib.sha256(f"{settings.path}/{modality}".encode()).hexdigest()[:12]
    return Files(shape, transform, modality, f"manifest-{kind}-{column}", contents.root, decoder)


def _reading(
    kind: str, settings: TableSettings, modality: str, paths: list[Path]
) -> tuple[tuple[int, ...], Decoder, Transform]:
    """The shape of a sample, and how files become one."""
    size, frames = settings.image_size, settings.frames
    match kind:
        case "image":
            return (3, size, size), ImageDecoder(size), Frames(1, size)
        case "video":
            return (3, frames, size, size), VideoDecoder(settings.fps, size), Frames(frames, size)
        case "audio":
            spectrogram = SpectrogramDecoder(settings.rate, settings.seconds)
            _, frequencies, times = spectrogram.shape
            return (
                spectrogram.shape,
                spectrogram,
                Spectrogram((times // 8,) * 2, (frequencies // 8,) * 2),
            )
        case _:
            shape = _array_shape(paths, modality)
            return (math.prod(shape),), ArrayDecoder(shape), Flat()


def _array_shape(paths: list[Path], modality: str) -> tuple[int, ...]:
    """The shape that most of the first arrays have."""
    shapes: Counter[tuple[int, ...]] = Counter()
    for path in paths[:_LOOKED_AT]:
        try:
            array = open_memmap(path, mode="r")
            shapes.update([array.shape] if array.size else [])
        except Exception:
            continue  # of any kind that damaged files can cause: they are named when all of them are decoded
    if not shapes:
        raise MMParetoError(
            f"Files of `{modality}` should be .npy arrays. Found none among the first "
            f"{len(paths[:_LOOKED_AT])}."
        )
    return shapes.most_common(1)[0][0]
