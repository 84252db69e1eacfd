"""Kaldi's filter bank."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]


def frames_of(samples: Signal, width: int, hop: int) -> Signal:
    """Excerpts [N, width] of `samples`, each `hop` samples after the last."""
    return np.lib.stride_tricks.sliding_window_view(samples, width)[::hop]


def log_energies(samples: Signal, rate: int, width: int, hop: int, bands: int) -> Signal:
    """Kaldi's logarithmic filter bank.

    Args:
        samples: Samples [N].
        rate: Samples per second.
        width: Number of samples of a frame.
        hop: Number of samples from one frame to the next.
        bands: Number of frequency bands.

    Returns:
        Logarithms of energies, [frames, bands].
    """
    frames = frames_of(samples, width, hop)
    frames = frames - frames.mean(1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    size = 1 << (width - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(width), n=size)))
    # Kaldi leaves out the frequency of half the rate.
    energies = power[:, :-1] @ mel_triangles(rate, size // 2, bands, 20.0).T
    floored: Signal = np.log(np.maximum(energies, np.finfo(np.float32).eps))
    return floored


@cache
def mel_triangles(rate: int, bins: int, bands: int, low: float) -> Signal:
    """Triangles that are evenly spaced on the mel scale.

    Args:
        rate: Samples per second.
        bins: Number of frequencies, from 0 to just below half the rate.
        bands: Number of triangles.
        low: Frequency at which the first triangle begins.

    Returns:
        Weights [bands, bins].
    """
    lowest, highest = 1127 * math.log1p(low / 700), 1127 * math.log1p(rate / 2 / 700)
    centres = np.linspace(lowest, highest, bands + 2)[1:-1, None]
    step = (highest - lowest) / (bands + 1)
    places = 1127 * np.log1p(np.arange(bins) * rate / 2 / bins / 700)
    weights: Signal = np.maximum(0, 1 - np.abs(places - centres) / step)
    return weights
