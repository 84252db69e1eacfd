"""Made files in the layout of MNIST and of the Free Spoken Digit Dataset."""

from __future__ import annotations

import gzip
import io
import wave
from pathlib import Path

import numpy as np

from mmpareto.data.digits._fsdd import SPEAKERS


def mnist_arrays() -> dict[str, np.ndarray]:
    """Arrays of MNIST's sizes: the digits in turn, each a bright block whose place tells it."""
    arrays = {}
    for part, size in (("train", 60_000), ("test", 10_000)):
        labels = (np.arange(size) % 10).astype(np.uint8)
        blocks = np.zeros((10, 28, 28), np.uint8)
        for digit in range(10):
            blocks[digit, 5 * (digit // 4) + 4 :, 5 * (digit % 4) + 4 :][:5, :5] = 255
        arrays |= {f"{part}_images": blocks[labels], f"{part}_labels": labels}
    return arrays


def write_idx(path: Path, array: np.ndarray, *, magic: int | None = None) -> Path:
    """An idx file; packed where the path ends in .gz."""
    header = np.array(
        [0x0800 + array.ndim if magic is None else magic, *array.shape], ">u4"
    ).tobytes()
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def wav(samples: np.ndarray, *, channels: int = 1, width: int = 2, rate: int = 8_000) -> bytes:
    """A wave file of int16 samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def tone(digit: int, samples: int = 4_000) -> np.ndarray:
    """A tone whose pitch, 250 Hz times one more than the digit, tells it."""
    return np.rint(8_000 * np.sin(2 * np.pi * 250 * (digit + 1) * np.arange(samples) / 8_000))


def recordings(numbers: range = range(12)) -> dict[str, bytes]:
    """Files by name: all digits, speakers and numbers."""
    return {
        f"{digit}_{speaker}_{number}.wav": wav(tone(digit))
        for digit in range(10) for speaker in SPEAKERS for number in numbers
    }  # fmt: skip
