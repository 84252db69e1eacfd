"""From cached items to inputs, with the random changes of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmpareto.data.samples._crops import choose_frames, random_crop
from mmpareto.data.samples._memory import batch_memory
from mmpareto.data.samples._transform import Transform


@dataclass(frozen=True)
class Plain(Transform):
    """The item as it is.

    Example:
        >>> Plain()(np.arange(3), None)
        tensor([0, 1, 2])
    """

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        return torch.from_numpy(item.copy())


@dataclass(frozen=True)
class Frames(Transform):
    """Crops of images and videos.

    From an image uint8 [3, H, W] to [3, size, size], from a video [T, 3, H, W] to [3, count, size,
    size]. A finished batch is float32 and normalized.

    Of a video, one frame is taken from each of `count` segments, see `choose_frames`. In training
    all of them are cut out by one random resized crop and, half the time, flipped. Else the whole
    picture is resized.

    The crop covers from 8% to all of the picture and is from 3/4 to 4/3 as wide as high, as
    GoogLeNet was trained (C. Szegedy et al., Going Deeper with Convolutions, CVPR 2015). MMPareto's
    authors crop every frame by itself, which takes the motion out of a clip; here all frames of a
    clip are cropped alike.

    Args:
        count: Number of frames of a sample.
        size: Height and width of a sample, in pixels.
        mean: What is subtracted from each channel, where white is 1; by default ImageNet's mean.
        std: What each channel is divided by then.

    Example:
        >>> video = np.zeros((10, 3, 48, 64), np.uint8)
        >>> Frames(count=3, size=32)(video, None).shape
        torch.Size([3, 3, 32, 32])
    """

    count: int
    size: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        video = item[None] if item.ndim == 3 else item
        frames = choose_frames(len(video), self.count, random)
        top, left, (height, width) = 0, 0, video.shape[2:]
        if random is not None:
            top, left, height, width = random_crop(height, width, random)
        # As bytes: a resize of these takes a quarter of the time of one of floats, and workers send
        # as much less.
        cropped = torch.from_numpy(video[frames, :, top : top + height, left : left + width])
        size = (self.size, self.size)
        resized = functional.interpolate(cropped, size, mode="bilinear", antialias=True)
        if random is not None and random.random() < 0.5:
            resized = resized.flip(-1)
        return resized[0] if item.ndim == 3 else resized.transpose(0, 1)

    def finish(self, batch: Tensor) -> Tensor:
        shape = (-1,) + (1,) * (batch.ndim - 2)
        mean, std = torch.tensor(self.mean).view(shape), torch.tensor(self.std).view(shape)
        scale, shift = (1 / (255 * std)).to(batch.device), (mean / std).to(batch.device)
        if batch.device.type != "cpu":
            return (
                torch.empty(batch.shape, device=batch.device).copy_(batch).mul_(scale).sub_(shift)
            )
        finished = batch_memory(tuple(batch.shape))
        # One sample at a time, so that it stays in the processor's cache.
        for row, frames in zip(finished, batch, strict=True):
            row.copy_(frames).mul_(scale).sub_(shift)
        return finished


@dataclass(frozen=True)
class Spectrogram(Transform):
    """Spectrograms [1, F, T], some of whose columns and rows are replaced by the mean in training.

    SpecAugment without its time warping (D. S. Park et al., Interspeech 2019).

    Args:
        times: Greatest length of each stretch of time that is replaced, in columns.
        frequencies: Greatest width of each band of frequency that is replaced, in rows.

    Example:
        >>> transform = Spectrogram(times=(2,), frequencies=())
        >>> transform(np.eye(4, dtype=np.float32)[None], np.random.default_rng(0))
        tensor([[[1.0000, 0.2500, 0.2500, 0.0000],
                 [0.0000, 0.2500, 0.2500, 0.0000],
                 [0.0000, 0.2500, 0.2500, 0.0000],
                 [0.0000, 0.2500, 0.2500, 1.0000]]])
    """

    times: tuple[int, ...] = (40, 40)
    frequencies: tuple[int, ...] = (20, 20)

    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        spectrogram = torch.from_numpy(item.copy())
        if random is None:
            return spectrogram
        mean = spectrogram.mean()
        for axis, widths in ((2, self.times), (1, self.frequencies)):
            length = spectrogram.shape[axis]
            for widest in widths:
                width = int(random.integers(min(widest, length) + 1))
                start = int(random.integers(length - width + 1))
                spectrogram.narrow(axis, start, width).fill_(mean)
        return spectrogram
