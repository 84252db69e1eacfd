"""Kaldi's filter bank."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]


def frames_of(samples: Signal, width: int, hop: int) -> Signal:
    """Excerpts [N, width] of `samples`, each so many samples after the last."""
    return np.lib.stride_tricks.sliding_window_view(samples, width)[::hop]


def log_energies(samples: Signal, rate: int, width: int, hop: int, bands: int) -> Signal:
    """Kaldi's logarithmic filter bank, [frames, bands], of frames of `width` samples, each `hop` after the last."""
    frames = frames_of(samples, width, hop)
    frames = frames - frames.mean(1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    size = 1 << (width - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(width), n=size)))
    energies = (
        power[:, :-1] @ mel_triangles(rate, size // 2, bands, 20.0).T
    )  # Kaldi leaves out half the rate itself
    floored: Signal = np.log(np.maximum(energies, np.finfo(np.float32).eps))
    return floored


@cache
def mel_triangles(rate: int, bins: int, bands: int, low: float) -> Signal:
    """Weights [bands, bins] of frequencies from 0 to just below half of `rate`, in triangles evenly spaced in mel."""
    lowest, highest = (1127 * math.log1p(frequency / 700) for frequency in (low, rate / 2))
    centres, step = (
        np.linspace(lowest, highest, bands + 2)[1:-1, None],
        (highest - lowest) / (bands + 1),
    )
    places = 1127 * np.log1p(np.arange(bins) * rate / 2 / bins / 700)
    weights: Signal = np.maximum(0, 1 - np.abs(places - centres) / step)
    return weights
