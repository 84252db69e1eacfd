"""Recordings as samples and as spectrograms."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmpareto.data.caching._decoding import Decoder, Unreadable
from mmpareto.data.media._container import decoded_frames

_QUIETEST = 1e-4
"""Share of full scale, -80 dB; below the noise of nearly all microphones."""

_RATES = range(1_000, 768_001)
"""Samples per second that recordings are known to have; other rates are damage."""

_LARGEST_TERM = 50_000
"""Largest term of a ratio of rates; the filter has 20 times as many numbers.

A ratio with larger terms is replaced by the nearest, which is off by less than one in 50,000.
"""


def read_audio(path: Path, rate: int, most: int | None = None) -> np.ndarray:
    """Reads a recording, or the sound of a video, in whatever format it is.

    Args:
        path: Path of the file.
        rate: Samples per second to bring it to, by a filter that removes what lies beyond half of
            it.
        most: Number of samples that are returned of a longer recording; the rest is not decoded.
            None for all.

    Returns:
        float32 [samples], the mean of all channels, in [-1, 1] but for what the filter overshoots.

    Raises:
        Unreadable: If there is no sound in the file, or none that can be decoded.
    """
    rates, parts, length = set(), [], 0
    with closing(decoded_frames(path, "audio")) as frames:
        for frame in frames:
            rates.add(frame.sample_rate)
            if len(rates) > 1:
                raise Unreadable(f"changes its rate: {sorted(rates)}")
            if frame.sample_rate not in _RATES:
                raise Unreadable(
                    f"has {frame.sample_rate:,} samples per second, not {_RATES[0]:,} to "
                    f"{_RATES[-1]:,}"
                )
            parts.append(_mono(frame))
            length += len(parts[-1])
            if most is not None and length >= _needed(most, frame.sample_rate, rate):
                break
    if not parts:
        raise Unreadable("holds no sound: its length is zero")
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        raise Unreadable("holds samples that are not finite")
    return resampled(samples, rates.pop(), rate)[:most]


def _needed(most: int, before: int, after: int) -> int:
    """Number of samples before `resampled` that its first `most` are made of."""
    reach = 0  # of SciPy's filter, to either side
    if before != after:
        reach = math.ceil(10 * max(1, before / after)) + 2
    return math.ceil(most * before / after * (1 + 1 / _LARGEST_TERM)) + reach


def _mono(frame: Any) -> np.ndarray:
    """The mean of a decoded frame's channels, float64 [samples]."""
    try:
        values = frame.to_ndarray()
    except ValueError as error:
        raise Unreadable(
            f"has samples of a kind that NumPy has no numbers for: {frame.format.name}"
        ) from error
    channels = values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T
    mean: np.ndarray = channels.mean(0, dtype=np.float64)
    match values.dtype.kind:
        case "f":
            return mean
        case "u":
            return mean / 128 - 1
    return mean / -float(np.iinfo(values.dtype).min)


def resampled(samples: np.ndarray, before: int, after: int) -> np.ndarray:
    """Brings samples to another rate.

    Args:
        samples: Samples [N], taken `before` times a second.
        before: Their rate.
        after: The rate to bring them to.

    Returns:
        float32 [ceil(N * after / before)].
    """
    if before != after:
        from scipy.signal import resample_poly

        up, down = Fraction(after, before).as_integer_ratio()
        length = math.ceil(len(samples) * up / down)
        if max(up, down) > _LARGEST_TERM:
            up, down = _nearest_ratio(up, down)
            # So that there are enough samples at a ratio that is a little smaller.
            filling = np.zeros(len(samples) // _LARGEST_TERM + 2)
            samples = np.concatenate([samples, filling])
        samples = resample_poly(samples, up, down)[:length]
    return samples.astype(np.float32)


def _nearest_ratio(up: int, down: int) -> tuple[int, int]:
    """The ratio nearest to one of two numbers, with smaller numbers."""
    smaller, larger = sorted((up, down))
    ratio = Fraction(smaller, larger).limit_denominator(_LARGEST_TERM)
    small, large = ratio.as_integer_ratio()
    return (small, large) if up < down else (large, small)


@dataclass(frozen=True)
class SpectrogramDecoder(Decoder):
    """From a recording to float32 [1, F, T], the loudness of F frequencies at T times.

    Amplitudes under Hann windows, each centred on its time, in decibels: -80 and less is -2, full
    scale 2.

    Args:
        rate: Samples per second that the recording is brought to.
        seconds: Length that is used; what is longer is cut, what is shorter filled up with silence.
        window: Length of a window, in seconds.
        hop: Time from one window to the next, in seconds.

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
        """Numbers of samples of a recording, of a window and from window to window."""
        return self._samples(self.seconds), self._samples(self.window), self._samples(self.hop)

    def _samples(self, seconds: float) -> int:
        """Number of samples in a time, at least one."""
        return max(1, round(self.rate * seconds))

    def __call__(self, path: Path) -> np.ndarray:
        samples, window, hop = self._lengths()
        sound = torch.zeros(samples)
        recorded = torch.from_numpy(read_audio(path, self.rate, samples))
        sound[: len(recorded)] = recorded
        hann = torch.hann_window(window)
        spectrum = torch.stft(
            sound, window, hop, window=hann, pad_mode="constant", return_complex=True
        )
        amplitude = spectrum.abs() * (2 / hann.sum())
        decibels = 20 * amplitude.clamp_min(_QUIETEST).log10()
        return (decibels / 20 + 2)[None].numpy()
