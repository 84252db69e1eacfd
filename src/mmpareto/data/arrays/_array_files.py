"""Named arrays in an ``.npz`` file or a folder of ``.npy`` files. Nothing in them is executed."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mmpareto.errors import MMParetoError

_ENDING = ".npy"
_FREE = 1 << 28
"""Bytes that an archive may unpack to, whatever its own size is."""
_PACKED = 100
"""Beyond that, how many times its own size it may unpack to."""

_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What damaged files cause."""


def array_names(path: Path) -> list[str]:
    """Names of the arrays in a file or folder, sorted.

    Raises:
        MMParetoError: If there is no such file or folder, or it is no archive.
    """
    if path.is_dir():
        return sorted(file.stem for file in path.glob(f"*{_ENDING}"))
    with _reading(path), zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(_ENDING) for name in archive.namelist())


def read_array(path: Path, name: str) -> np.ndarray:
    """One of the arrays; those of a folder stay on the disk until they are used.

    Args:
        path: An ``.npz`` file, or a folder of ``.npy`` files.
        name: Name of the array.

    Returns:
        The array, of numbers or texts.

    Raises:
        MMParetoError: If it cannot be read, holds Python objects, which could be programs, or would
            unpack to far more than the file's size.
    """
    with _reading(path, name):
        if path.is_dir():
            array: np.ndarray = np.load(
                path / f"{name}{_ENDING}", mmap_mode="c", allow_pickle=False
            )
        else:
            with zipfile.ZipFile(path) as archive:
                array = _read_member(archive, path, f"{name}{_ENDING}")
    if array.ndim < 1 or array.dtype.kind not in "biufUS":
        raise MMParetoError(
            f"{path}, array '{name}', should be numbers or texts, a row for each sample. Found "
            f"{array.dtype} {list(array.shape)}."
        )
    return array


def _read_member(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    """An array in an archive, which may claim, and unpack to, any size."""
    size = archive.getinfo(name).file_size
    if size > max(_FREE, _PACKED * path.stat().st_size):
        raise ValueError(f"it unpacks to {size:,} bytes; save arrays with numpy.save into a folder")
    with archive.open(name) as member:
        shape, dtype = _header(member)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if claimed != size - member.tell():
            raise ValueError(f"it claims {claimed:,} bytes and has {size - member.tell():,}")
    with archive.open(name) as member:
        array: np.ndarray = npy.read_array(member, allow_pickle=False)
    return array


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(member)
    first = version == (1, 0)
    read: Any = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype


@contextmanager
def _reading(path: Path, name: str = "") -> Iterator[None]:
    """Says which file, and which array of it, could not be read."""
    if not path.exists():
        raise MMParetoError(
            "Parameter `data.path` should be an .npz file, or a folder of .npy files. Found no "
            f"{path}."
        )
    try:
        yield
    except _UNREADABLE as error:
        what = f", array '{name}'," if name else ""
        text = " ".join(str(error).split()) or type(error).__name__
        raise MMParetoError(
            f"{path}{what} should be in NumPy's format. Found: {text}. Write it anew."
        ) from error
