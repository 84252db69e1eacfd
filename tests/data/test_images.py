"""Images of every kind become three channels of eight bits, upright."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.media import (
    picture,
    write_image,
)
from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._image import ImageDecoder


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
def test_images_of_every_mode(mode: str, tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.tif", mode=mode)
    found = ImageDecoder(None)(path).astype(float)
    red, green, blue = picture().transpose(2, 0, 1).astype(float)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = np.stack([luminance] * 3 if mode in ("L", "LA", "1") else [red, green, blue])
    assert found.shape == expected.shape
    # Rounding; 256 colours are coarser, and black and white are right on average alone.
    tolerance = {"P": 64.0, "1": 256.0}.get(mode, 1.0)
    assert np.abs(found - expected).max() <= tolerance
    assert abs(found.mean() - expected.mean()) < 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(mode: str, tmp_path: Path) -> None:
    found = ImageDecoder(None)(write_image(tmp_path / "image.jpg", mode=mode, quality=95))
    expected = (
        picture()
        if mode != "L"
        else np.repeat(np.asarray(Image.fromarray(picture()).convert("L"))[..., None], 3, 2)
    )
    assert np.abs(found.transpose(1, 2, 0).astype(int) - expected).mean() < 3


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    values = np.linspace(0, 65_535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    for name in ("image.png", "image.tif"):
        found = ImageDecoder(None)(write_image(tmp_path / name, values))
        np.testing.assert_array_equal(found, np.stack([np.round(values / 257)] * 3))


def test_sixteen_bits_in_32(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(np.array([[0, 257, 65_535]], np.int32)).save(path)
    assert ImageDecoder(None)(path)[0].tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[70_000]], np.int32), "32 bits"),
        (np.array([[0.5]], np.float32), "floating-point"),
    ],
)
def test_pixels_without_a_known_white_are_refused(
    array: np.ndarray, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(array).save(path)
    with pytest.raises(Unreadable, match=reason):
        ImageDecoder(None)(path)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[:, 1, 3] = 255
    pixels[1, 0, 3] = 51
    path = tmp_path / "alpha.png"
    Image.fromarray(pixels).save(path)
    assert ImageDecoder(None)(path).tolist() == [[[255, 0], [204, 0]]] * 3
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(path, transparency=0)
    assert ImageDecoder(None)(path).tolist() == [[[255, 40]], [[255, 50]], [[255, 60]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(orientation: int, tmp_path: Path) -> None:
    turned = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: x[::-1].transpose(1, 0, 2),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: x[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    path = write_image(tmp_path / "image.png", orientation=orientation)
    np.testing.assert_array_equal(ImageDecoder(None)(path).transpose(1, 2, 0), turned(picture()))


@pytest.mark.parametrize(
    ("height", "width"), [(100, 150), (150, 100), (97, 97), (33, 500), (20, 30), (1, 90)]
)
def test_the_shorter_side_is_brought_to_a_size(height: int, width: int, tmp_path: Path) -> None:
    pixels = picture(height, width)
    found = ImageDecoder(32)(write_image(tmp_path / "image.png", pixels))
    if min(height, width) <= 32:
        np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1))
        return
    rows, columns = (
        triangle(side, round(side * 32 / min(height, width))) for side in (height, width)
    )
    expected = np.einsum("ia,jb,abc->cij", rows, columns, pixels.astype(float))
    assert min(found.shape[1:]) == 32
    assert np.abs(found - expected).max() <= 1.01  # each of two passes rounds


def triangle(before: int, after: int) -> np.ndarray:
    """Weights [after, before] of a resize whose filter is a triangle as wide as two of the new
    pixels.
    """
    scale = max(before / after, 1)
    distance = (np.arange(before) + 0.5) - (np.arange(after)[:, None] + 0.5) * before / after
    weights = np.maximum(0, 1 - np.abs(distance) / scale)
    return weights / weights.sum(1, keepdims=True)


def test_the_first_of_several_pictures(tmp_path: Path) -> None:
    first, second = (Image.fromarray(picture(seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "several.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(
        ImageDecoder(None)(tmp_path / "several.tif").transpose(1, 2, 0), picture()
    )


def test_an_image_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.png")
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(Unreadable, match="decompression bomb"):
        ImageDecoder(224)(path)


WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from mmpareto.data.caching._decoding import attempt
from mmpareto.data.media._image import ImageDecoder

small, large = map(Path, sys.argv[1:])
ImageDecoder(224)(small)  # so that all modules are there
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
failure = attempt(ImageDecoder(224), large)
print(failure.reason, failure.temporary, sep=";")
"""


def test_an_image_that_memory_does_not_suffice_for_is_named(tmp_path: Path) -> None:
    """In a process of its own: one that has freed much memory has enough."""
    small, large = write_image(tmp_path / "small.jp2"), tmp_path / "large.jp2"
    content, size = bytearray(small.read_bytes()), struct.pack(">II", 10_000, 10_000)
    header, stream = content.index(b"ihdr"), content.index(b"\xff\x4f\xff\x51")
    content[header + 4 : header + 12] = content[stream + 8 : stream + 16] = size
    large.write_bytes(content)
    command = [sys.executable, "-c", WITH_LITTLE_MEMORY, small, large]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "is an image too large for the memory;True\n"


def test_images_at_which_pillow_fails_by_other_errors_are_named(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.png", format="AVIF")
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    form = struct.pack("<8I", 32, 0, 0, 32, 0, 0, 0, 0)  # without any flag
    surface = (
        b"DDS "
        + struct.pack("<7I44x", 124, 0x1007, 4, 4, 16, 0, 0)
        + form
        + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
    )
    (tmp_path / "image.dds").write_bytes(surface + bytes(64))
    for name, error in (("image.png", RuntimeError), ("image.dds", NotImplementedError)):
        with pytest.raises(error), Image.open(tmp_path / name) as image:
            image.load()
        with pytest.raises(Unreadable, match=r"^is a damaged image: .+$"):
            ImageDecoder(224)(tmp_path / name)
