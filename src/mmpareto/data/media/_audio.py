"""Recordings as samples and as spectrograms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmpareto.data.caching._decoding import Decoder, Unreadable
from mmpareto.data.media._container import decoded_frames

_QUIETEST = 1e-4
"""Of full scale, -80 dB; below the noise of nearly all microphones."""


def read_audio(path: Path, rate: int) -> np.ndarray:
    """Reads a recording, or the sound of a video, in whatever format it is.

    Args:
        path: Of the file.
        rate: Samples per second to bring it to, by a filter that removes what lies beyond half of it.

    Returns:
        float32 [samples], the mean of all channels, in [-1, 1] but for what the filter overshoots.

    Raises:
        Unreadable: If there is no sound in the file, or none that can be decoded.
    """
    frames = list(decoded_frames(path, "audio"))
    rates = {frame.sample_rate for frame in frames}
    if len(rates) != 1:
        raise Unreadable(f"changes its rate: {sorted(rates)}" if rates else "holds no sound: its length is zero")
    samples = np.concatenate([_mono(frame) for frame in frames])
    if not np.isfinite(samples).all():
        raise Unreadable("holds samples that are not finite")
    return resampled(samples, rates.pop(), rate)


def _mono(frame: Any) -> np.ndarray:
    """Of a decoded frame, float64 [samples]."""
    values = frame.to_ndarray()
    channels = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
    mean: np.ndarray = channels.mean(0, dtype=np.float64)
    match values.dtype.kind:
        case "f":
            return mean
        case "u":
            return mean / 128 - 1
    return mean / -float(np.iinfo(values.dtype).min)


def resampled(samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """Samples [N] taken `before` times a second as float32 [ceil(N * after / before)], taken `after` times."""
    if before != after:
        from scipy.signal import resample_poly

        divisor = math.gcd(before, after)
        samples = resample_poly(samples, after // divisor, before // divisor)
    return samples.astype(np.float32)


@dataclass(frozen=True)
class SpectrogramDecoder(Decoder):
    """From a recording to float32 [1, F, T], the loudness of F frequencies at T times.

    Amplitudes under Hann windows, each centred on its time, in decibels: -80 and less is -2, full scale 2.

    Args:
        rate: Samples per second that the recording is brought to.
        seconds: What is longer is cut, what is shorter filled up with silence.
        window: Seconds of a window.
        hop: Seconds from one to the next.

    Example:
        >>> SpectrogramDecoder(rate=16_000, seconds=3.0).shape
        (1, 201, 301)
    """

    version = 1

    rate: int
    seconds: float
    window: float = 0.025
    hop: float = 0.01

    @property
    def shape(self) -> tuple[int, int, int]:
        """1, frequencies from 0 to half the rate, times."""
        samples, window, hop = self._lengths()
        return 1, window // 2 + 1, samples // hop + 1

    def _lengths(self) -> tuple[int, int, int]:
        """Samples of a recording, of a window and from window to window."""
        samples, window, hop = (max(1, round(self.rate * time)) for time in (self.seconds, self.window, self.hop))
        return samples, window, hop

    def __call__(self, path: Path) -> np.ndarray:
        samples, window, hop = self._lengths()
        sound = torch.zeros(samples)
        recorded = torch.from_numpy(read_audio(path, self.rate)[:samples])
        sound[: len(recorded)] = recorded
        hann = torch.hann_window(window)
        spectrum = torch.stft(sound, window, hop, window=hann, pad_mode="constant", return_complex=True)
        amplitude = spectrum.abs() * (2 / hann.sum())
        decibels = 20 * amplitude.clamp_min(_QUIETEST).log10()
        return (decibels / 20 + 2)[None].numpy()
