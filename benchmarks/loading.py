"""Clips per second from a cache of decoded frames, and from JPEG files decoded anew each time.

python -m benchmarks.loading [--clips N] [--seconds S] [--rounds N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto.data import EpochIndices
from mmpareto.data.caching._cache import Source, cached
from mmpareto.data.media._video import VideoDecoder
from mmpareto.data.samples._augment import Frames
from mmpareto.data.samples._cached import CachedDataset, Column

BATCH, FRAMES, SIZE = 64, 2, 224
WORKERS = (0, 2)
MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (Frames(1, 1).mean, Frames(1, 1).std))
NOTES = (
    f"Training batches of {BATCH} clips, each {FRAMES} frames of {SIZE} x {SIZE} after a random "
    "resized crop and a flip, normalized: two encoders at ResNet-18 size would get them so. "
    "`files` opens each clip's JPEG files (480 x 360, quality 90) and does all this with Pillow, "
    f"as released loaders do; `cache` reads frames whose shorter side is {SIZE} from the library's "
    "cache, which was written before. Both files and cache are in memory already. Medians over "
    "rounds in which both take turns, with a DataLoader of so many workers, after the first "
    "batches.",
    "",
)


def make_clips(folder: Path, clips: int) -> list[Source]:
    """Folders of JPEG files: smooth pictures with the grain of a camera."""
    from PIL import Image

    rng = np.random.default_rng(0)
    down, along = np.mgrid[:360, :480]
    for clip in range(clips):
        (folder / str(clip)).mkdir()
        for frame in range(FRAMES):
            waves = rng.uniform(0.02, 0.2, (2, 3))
            smooth = np.sin(down[..., None] * waves[0]) + np.sin(along[..., None] * waves[1])
            pixels = 127 + 50 * smooth + rng.normal(0, 4, (360, 480, 3))
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / str(clip) / f"{frame}.jpg", quality=90)
    return [Source(str(clip), folder / str(clip)) for clip in range(clips)]


@dataclass(frozen=True)
class Files(Dataset[Any]):
    """Clips decoded from their JPEG files."""

    folders: Sequence[Path]

    def __getitem__(self, clip: int) -> dict[str, Any]:
        frames = [_frame(path) for path in sorted(self.folders[clip].iterdir())]
        return {"inputs": {"video": torch.stack(frames, 1)}, "label": 0, "id": clip}

    def __len__(self) -> int:
        return len(self.folders)


def _frame(path: Path) -> torch.Tensor:
    from PIL import Image

    image = Image.open(path).convert("RGB")
    width, height = image.size
    while True:  # none of the crops of such a picture is refused ten times
        area = width * height * random.uniform(0.08, 1)
        ratio = np.exp(random.uniform(-1, 1) * np.log(4 / 3))
        wide, high = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if wide <= width and high <= height:
            break
    left, top = random.randint(0, width - wide), random.randint(0, height - high)
    image = image.crop((left, top, left + wide, top + high)).resize(
        (SIZE, SIZE), Image.Resampling.BILINEAR
    )
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels.float().div_(255).sub_(MEAN).div_(STD)


def from_cache(sources: Sequence[Source]) -> CachedDataset:
    """Clips read from a cache, which is built first."""
    cache = cached("benchmark", sources, VideoDecoder(1.0, SIZE))
    column = Column(cache, torch.arange(len(sources)), Frames(FRAMES, SIZE))
    return CachedDataset({"video": column}, torch.zeros(len(sources)), list(range(len(sources))))


class Draws(Sampler[EpochIndices]):
    """Training batches without end."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[EpochIndices]:
        for epoch in count():
            generator = torch.Generator().manual_seed(epoch)
            order = torch.randperm(self.size, generator=generator).tolist()
            for start in range(0, self.size, BATCH):
                yield EpochIndices(order[start : start + BATCH], 0, epoch)


def loader(dataset: Any, workers: int) -> Iterator[Any]:
    """Batches from a DataLoader that is just started; each of the library's is one look-up."""
    draws = Draws(len(dataset))
    if isinstance(dataset, CachedDataset):
        return iter(DataLoader(dataset, batch_size=None, sampler=draws, num_workers=workers))
    return iter(DataLoader(dataset, batch_sampler=draws, num_workers=workers))


def rate(dataset: Any, workers: int, seconds: float) -> float:
    """Clips per second of a loader that is emptied as fast as it fills."""
    batches = loader(dataset, workers)
    for _ in range(2 * workers + 1):  # what the workers have ready
        next(batches)
    start, clips = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        clips += len(next(batches)["id"])
    return clips / (time.perf_counter() - start)


def measure(clips: int, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Clips per second of both, by the number of workers."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["MMPARETO_CACHE"] = f"{place}/cache"
        sources = make_clips(Path(place), clips)
        datasets = {
            "files": Files([source.path for source in sources]),
            "cache": from_cache(sources),
        }
        rows = []
        for workers in WORKERS:
            files, cache = np.empty(rounds), np.empty(rounds)
            for number in range(rounds):
                files[number] = rate(datasets["files"], workers, seconds)
                cache[number] = rate(datasets["cache"], workers, seconds)
            low, median, high = np.quantile(cache / files, [0.25, 0.5, 0.75])
            rows.append(
                {
                    "workers": workers,
                    "files": float(np.median(files)),
                    "cache": float(np.median(cache)),
                    "ratio": float(median),
                    "low": float(low),
                    "high": float(high),
                    "rounds": rounds,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each contender in each round"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    rows = measure(arguments.clips, arguments.seconds, arguments.rounds)
    shown = [
        {
            "workers": row["workers"],
            "files, clips/s": f"{row['files']:.0f}",
            "cache, clips/s": f"{row['cache']:.0f}",
            "ratio": f"{row['ratio']:.1f}",
            "quartiles": f"{row['low']:.1f} to {row['high']:.1f}",
        }
        for row in rows
    ]
    title = "Clips from a cache and from JPEG files"
    write(arguments.out, "loading", heading(title, NOTES) + "\n" + markdown(shown) + "\n", rows)


if __name__ == "__main__":
    main()
