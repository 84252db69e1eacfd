"""Manifests and the files they name, made for tests."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from media import tone, write_array, write_audio, write_image, write_video

from mmpareto.data import Manifest

SMALL = {"image_size": 16, "frames": 2, "seconds": 0.5}
"""Settings that make decoding quick."""


def manifest(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Manifest:
    """A manifest with these rows; what one of them lacks is an empty cell."""
    path = folder / "my.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return Manifest(path, **{**SMALL, **settings})


def notes(count: int = 12) -> list[dict[str, Any]]:
    """Rows with text and numbers, of two classes, in all parts."""
    parts = ("train", "train", "val", "test")
    return [
        {
            "id": f"s{n}",
            "label": ("cat", "dog")[n % 2],
            "split": parts[n // 2 % 4],
            "note": f"words number {n}",
            "age": str(n),
        }
        for n in range(count)
    ]


def with_media(folder: Path, count: int = 12) -> list[dict[str, Any]]:
    """`notes` with an image, a recording, a video and an array each, but some missing."""
    rows = notes(count)
    for n, row in enumerate(rows):
        row |= {
            "photo": f"photo/{n}.png",
            "voice": f"voice/{n}.wav",
            "clip": f"clip/{n}.mp4",
            "vector": f"vector/{n}.npy",
        }
        write_image(folder / row["photo"], plain(20 * n))
        write_audio(folder / row["voice"], tone(8000, 0.5, 200 + 20 * n), 8000)
        write_video(folder / row["clip"], [plain(20 * n + frame) for frame in range(10)])
        write_array(folder / row["vector"], np.full(5, n, np.float32))
    for n, name in enumerate(("photo", "voice", "clip", "vector", "note", "age")):
        rows[n][name] = ""
    return rows


def plain(shade: int) -> np.ndarray:
    """A picture of one colour, 20 pixels wide and 30 high."""
    return np.full((30, 20, 3), shade, np.uint8)


def parts_of(data: Manifest) -> dict[str, str]:
    """The part of each sample, by its id."""
    contents = data.contents
    return {contents.names[place]: part for place, part in contents.parts.items()}
