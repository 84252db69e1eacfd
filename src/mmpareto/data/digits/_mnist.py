"""MNIST, from the files that people have of it."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from mmpareto.errors import MMParetoError

SIZES = {"train": 60_000, "test": 10_000}
"""Number of images of each part."""

IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
"""Name of the official file of each array, without ``.gz``."""

LAYOUT = (
    "mnist.npz with uint8 arrays train_images [60000, 28, 28], train_labels, test_images [10000, "
    "28, 28] and test_labels; or the four official files, as they are or ending in .gz: "
    f"{', '.join(IDX_FILES.values())}."
)
"""What a folder with MNIST holds."""

_MAGIC = {3: 0x0803, 1: 0x0801}
"""First bytes of an idx file: two zeros, 8 for uint8, and the number of dimensions."""

_MOST = SIZES["train"] * 28 * 28
"""Numbers in the largest array."""

_UNREADABLE = (
    KeyError,
    ValueError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)

Part: TypeAlias = tuple[Tensor, Tensor]
"""Images, uint8 [N, 28, 28], and labels, int64 [N]."""


def read_mnist(root: Path) -> dict[str, Part]:
    """Reads MNIST.

    Args:
        root: A folder as in `LAYOUT`, or an ``.npz`` file of any name.

    Returns:
        Images and labels of ``"train"`` and ``"test"``, in the original order.

    Raises:
        MMParetoError: If there are no such files, or they hold something else.
    """
    archive = root / "mnist.npz" if root.is_dir() else root
    if archive.is_file():
        arrays = _read_npz(archive)
    elif root.is_dir():
        arrays = {key: _read_idx(_idx_path(root, name), key) for key, name in IDX_FILES.items()}
    else:
        raise MMParetoError(
            "Parameter `data.root` should be a folder with MNIST, or an .npz file. Found no file "
            f"{root}."
        )
    parts = {}
    for part in SIZES:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        _check(archive if archive.is_file() else root, part, images, labels)
        parts[part] = (torch.from_numpy(images), torch.from_numpy(labels).long())
    return parts


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The four arrays in an .npz file."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for key in IDX_FILES:
                arrays[key] = _read_member(archive, f"{key}.npy")
    except (*_UNREADABLE, RuntimeError, SyntaxError, TypeError) as error:
        raise MMParetoError(
            f"{path} should be an .npz file with uint8 arrays {', '.join(IDX_FILES)}. Found: "
            f"{error or 'no content'}"
        ) from error
    return arrays


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array in an archive, which may claim, and unpack to, any size.

    Raises:
        ValueError: If it claims more numbers than any array of MNIST has.
    """
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        header = {(1, 0): np.lib.format.read_array_header_1_0}
        read_header = header.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = read_header(member)
    if math.prod(shape) > _MOST or dtype.hasobject or dtype.itemsize > 8:
        raise ValueError(f"{name} claims to be {dtype} {list(shape)}")
    with archive.open(name) as member:
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _idx_path(folder: Path, name: str) -> Path:
    """The official file in a folder, packed or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise MMParetoError(
        f"Parameter `data.root` should be a folder with MNIST: {LAYOUT} Found no file "
        f"{folder / name}[.gz] and no {folder / 'mnist.npz'}."
    )


def _read_idx(path: Path, key: str) -> np.ndarray:
    """The array of an idx file.

    The file has a magic number, the sizes as big-endian int32, and one byte per number.
    """
    part, kind = key.split("_")
    expected = (SIZES[part], 28, 28) if kind == "images" else (SIZES[part],)
    start, count = np.array([_MAGIC[len(expected)], *expected], ">u4"), int(np.prod(expected))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(start.nbytes)
            # No more than is expected, whatever the file would unpack to. One byte more, so that
            # the checksum at its end is read.
            content = file.read(count + 1) if header == start.tobytes() else b""
    except _UNREADABLE as error:
        raise MMParetoError(
            f"{path} should be a file of MNIST. Found on reading it: {error}"
        ) from error
    if header != start.tobytes():
        found = np.frombuffer(header[: len(header) // 4 * 4], ">u4").tolist()
        raise MMParetoError(
            f"{path} should begin with a magic number and the sizes, {start.tolist()}. Found "
            f"{found}. Fetch it again."
        )
    if len(content) != count:
        found = "more" if len(content) > count else f"{len(content):,}"
        raise MMParetoError(
            f"{path} should hold {count:,} bytes after its sizes. Found {found}. Fetch it again."
        )
    return np.frombuffer(bytearray(content), np.uint8).reshape(expected)


def _check(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Raises unless the arrays are those of a part of MNIST."""
    size = SIZES[part]
    if images.shape != (size, 28, 28) or images.dtype != np.uint8 or labels.shape != (size,):
        raise MMParetoError(
            f"{path} should hold {part}_images as uint8 [{size}, 28, 28] with as many labels. "
            f"Found {images.dtype} {list(images.shape)} and labels {list(labels.shape)}."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise MMParetoError(
            f"{path} should hold {part}_labels as integers from 0 to 9. Found {labels.dtype}, "
            f"{labels.min()} to {labels.max()}."
        )
