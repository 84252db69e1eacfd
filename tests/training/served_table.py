"""A table with images, texts, numbers and categories, and a training on it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmpareto.balancing import Uniform
from mmpareto.data import Manifest
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig

PARTS = ("train", "train", "val", "test")
WORDS = ("barks at noon", "purrs, and sleeps")


def rows(count: int = 32, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of cats and dogs; of every eight, one lacks its photo and one its note."""
    draws = np.random.default_rng(seed)
    table = []
    for n in range(count):
        kind = n % 2
        row = {
            "id": f"s{n}",
            "label": ("dog", "cat")[kind],
            "split": PARTS[n // 2 % 4],
            "photo": f"photos/{n}.png" if n % 8 != 3 else "",
            "note": f"{WORDS[kind]} {n}" if n % 8 != 4 else "",
            "age": f"{3 + kind + draws.normal():.3f}" if n % 8 != 5 else "",
            "coat": str(draws.integers(1, 4)),
        }
        table.append(row)
    return table


def write(folder: Path, table: Sequence[dict[str, Any]], name: str = "pets.csv") -> Path:
    """The table as a CSV file, beside the images that it names."""
    path = folder / name
    folder.mkdir(exist_ok=True)
    for row in table:
        photo = row.get("photo")
        if photo and not (folder / photo).exists():
            (folder / photo).parent.mkdir(parents=True, exist_ok=True)
            shade = int(Path(photo).stem) * 7 % 256
            Image.fromarray(np.full((10, 12, 3), shade, np.uint8)).save(folder / photo)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def training(path: Path, **settings: Any) -> RunConfig:
    """One epoch on a table."""
    stated: dict[str, Any] = {"types": {"coat": "category"}, "image_size": 8, "text_length": 24}
    stated |= settings.pop("data", {})
    base: dict[str, Any] = {"method": Uniform(), "model": LateFusionCNN(width=4)}
    return RunConfig(data=Manifest(path, **stated), epochs=1, batch_size=8, **(base | settings))
