"""Arrays in NumPy's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
from numpy.lib.format import open_memmap

from mmpareto.data.caching._decoding import Decoder, Unreadable


@dataclass(frozen=True)
class ArrayDecoder(Decoder):
    """From a ``.npy`` file to float32 of one shape.

    Files with Python objects, which could be programs, are refused.

    Args:
        shape: Shape that the array should have.

    Example:
        >>> ArrayDecoder((128,))
        ArrayDecoder(shape=(128,))
    """

    version = 1

    shape: tuple[int, ...]

    def __call__(self, path: Path) -> np.ndarray:
        try:
            stored = open_memmap(path, mode="r")  # a header may promise more than memory holds
        except Exception as error:  # a damaged header fails as whatever its text is taken for
            if is_zipfile(path):
                raise Unreadable("is an archive of arrays; save each with numpy.save") from error
            raise Unreadable(
                f"is no array in NumPy's format: {' '.join(str(error).split())}"
            ) from error
        if stored.shape != self.shape:
            raise Unreadable(f"has shape {stored.shape}, not {self.shape}")
        if stored.dtype.kind not in "biuf":
            raise Unreadable(f"holds {stored.dtype}, not numbers")
        with np.errstate(over="ignore"):
            array = np.array(stored, np.float32, order="C")
        if not np.isfinite(array).all():
            raise Unreadable("holds numbers that are not finite in single precision")
        return array
