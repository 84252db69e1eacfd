"""From cached items to inputs, with the random changes of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmpareto.data.samples._crops import choose_frames, random_crop
from mmpareto.data.samples._memory import memory
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
    """From images uint8 [3, H, W] to [3, size, size], from videos [T, 3, H, W] to [3, count, size, size].

    A finished batch is float32 and normalized.

    Of a video, one frame is taken from each of `count` segments, see `choose_frames`. In training
    all of them are cut out by one random resized crop and, half the time, flipped. Else the whole
    picture is resized.

    The crop covers from 8% to all of the picture and is from 3/4 to 4/3 as wide as high, as
    GoogLeNet was trained (C. Szegedy et al., Going Deeper with Convolutions, CVPR 2015). MMPareto's
    authors crop every frame by itself, which takes the motion out of a clip; here all frames of a
    clip are cropped alike.

    Args:
        count: Frames of a sample.
        size: Height and width of a sample.
        mean: Of each channel, subtracted, where white is 1; by default ImageNet's.
        std: Of each channel, divided by.

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
        chosen = choose_frames(len(video), self.count, random)
        height, width = video.shape[2:]
        top, left, height, width = (
            (0, 0, height, width) if random is None else random_crop(height, width, random)
        )
        # As bytes: a resize of these takes a quarter of the time of one of floats, and workers send
        # as much less.
        cropped = torch.from_numpy(video[chosen, :, top : top + height, left : left + width])
        resized = functional.interpolate(
            cropped, (self.size, self.size), mode="bilinear", antialias=True
        )
        if random is not None and random.random() < 0.5:
            resized = resized.flip(-1)
        return resized[0] if item.ndim == 3 else resized.transpose(0, 1)

    def finish(self, batch: Tensor) -> Tensor:
        shape = (-1,) + (1,) * (batch.ndim - 2)
        mean, std = (torch.tensor(values).view(shape) for values in (self.mean, self.std))
        scale, shift = 1 / (255 * std), mean / std
        finished = memory(tuple(batch.shape))
        for row, frames in zip(
            finished, batch, strict=True
        ):  # one at a time, so that it stays in the processor's cache
            row.copy_(frames).mul_(scale).sub_(shift)
        return finished


@dataclass(frozen=True)
class Spectrogram(Transform):
    """Spectrograms [1, F, T], in training with stretches of time and bands of frequency replaced by the mean.

    SpecAugment without its time warping (D. S. Park et al., Interspeech 2019).

    Args:
        times: For each stretch its greatest length, in columns.
        frequencies: For each band its greatest width, in rows.

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
        if random is not None:
            mean = spectrogram.mean()
            for axis, widths in ((2, self.times), (1, self.frequencies)):
                for widest in widths:
                    width = int(random.integers(min(widest, spectrogram.shape[axis]) + 1))
                    start = int(random.integers(spectrogram.shape[axis] - width + 1))
                    spectrogram.narrow(axis, start, width).fill_(mean)
        return spectrogram
