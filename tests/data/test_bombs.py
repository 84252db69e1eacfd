"""Files that claim, or unpack to, more than any memory holds."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from mmpareto.data.caching._decoding import Unreadable
from mmpareto.data.digits._mnist import IDX_FILES, read_mnist
from mmpareto.data.media._image import ImageDecoder
from mmpareto.errors import MMParetoError

MOST = 64 * 2**20


def archive(path: Path, shape: tuple[int, ...], zeros: int) -> Path:
    """An .npz file of which each array claims a shape, and unpacks to so many bytes."""
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for key in IDX_FILES:
            packed.writestr(f"{key}.npy", header.getvalue() + bytes(zeros))
    return path


@pytest.mark.parametrize(
    ("shape", "zeros"), [((2**62,), 0), ((60_000, 280, 280), 2**20), ((2**31, 2**31), 0)]
)
def test_an_archive_of_arrays_is_asked_what_it_claims(
    shape: tuple[int, ...], zeros: int, tmp_path: Path
) -> None:
    path = archive(tmp_path / "mnist.npz", shape, zeros)
    tracemalloc.start()
    try:
        with pytest.raises(MMParetoError, match=r"mnist\.npz .* Found: train_images\.npy claims"):
            read_mnist(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_an_image_that_unpacks_without_end_is_named(side: int, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2**20), 9)
    content = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(content))
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match=r"is a damaged image: .*(exceeds|too large)"):
            ImageDecoder(224)(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
