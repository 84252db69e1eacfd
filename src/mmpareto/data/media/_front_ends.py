"""The three audio front ends in circulation in this field.

Results under different ones are not comparable.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mmpareto.data.caching._cache import Decoder, Unreadable
from mmpareto.data.media._audio import read_audio
from mmpareto.data.media._kaldi import Signal, frames_of, log_energies
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class FrontEnd(Decoder):
    """From a recording, mono and of any rate, to a spectrogram, float32 [1, F, T].

    Attributes:
        rate: Samples per second that the recording is brought to first.
        most: Number of samples that are used of a longer recording.
        shape: Shape of the spectrogram.
    """

    rate: ClassVar[int]
    most: ClassVar[int]
    shape: ClassVar[tuple[int, int, int]]

    def __call__(self, path: Path) -> np.ndarray:
        samples = read_audio(path, self.rate, self.most).astype(np.float64)
        return self.spectrogram(samples).astype(np.float32)[None]

    @abstractmethod
    def spectrogram(self, samples: Signal) -> Signal:
        """The spectrogram [F, T] of samples [N] in [-1, 1]."""


@dataclass(frozen=True)
class FilterBank(FrontEnd):
    """The filter bank of MMPareto's authors: Kaldi's, 128 mel bands, 1,024 frames of 10 ms.

    For every 25 ms: the mean is removed, pre-emphasis by 0.97, Hanning window, power spectrum,
    triangles on the mel scale from 20 Hz to half the rate, logarithm; no dither. (The authors
    remove the recording's mean first, which changes nothing where each frame's mean is removed.)
    What is longer than 1,024 frames is cut, what is shorter filled up with zeros; then all of it is
    normalized.

    Example:
        >>> FilterBank().spectrogram(np.zeros(16_000)).shape
        (128, 1024)
    """

    rate = 16_000
    most = 400 + 160 * 1023
    shape = (1, 128, 1024)
    version = 1

    def spectrogram(self, samples: Signal) -> Signal:
        if len(samples) < 400:
            raise Unreadable(f"shorter than 25 ms: {len(samples)} samples at {self.rate} Hz")
        filled = np.zeros(self.shape[1:])
        logarithms = log_energies(samples[: self.most], self.rate, 400, 160, len(filled)).T
        filled[:, : logarithms.shape[1]] = logarithms
        return (filled + 4.503877) / (2 * 5.141276)


@dataclass(frozen=True)
class OGMGE(FrontEnd):
    """OGM-GE's: 22.05 kHz, repeated to 3 s, magnitudes of 512 samples every 353, logarithm.

    The first window is centred on the first sample and the signal mirrored at its ends, as librosa
    did by default when OGM-GE was published.

    Example:
        >>> OGMGE().spectrogram(np.zeros(22_050)).shape
        (257, 188)
    """

    rate = 22_050
    most = 3 * rate
    shape = (1, 257, 188)
    version = 1

    def spectrogram(self, samples: Signal) -> Signal:
        repeated = np.pad(_repeated(samples, self.most), 256, mode="reflect")
        window = np.hanning(513)[:-1]  # periodic
        return np.log(np.abs(np.fft.rfft(frames_of(repeated, 512, 353) * window)) + 1e-7).T


@dataclass(frozen=True)
class PMR(FrontEnd):
    """PMR's: 16 kHz, repeated to 10 s, power densities of 512 samples, logarithm, standardized.

    Windows overlap by 353 samples. All else is as SciPy's spectrogram has it: a periodic Tukey
    window that tapers a quarter, the mean of every 512 samples removed, power per hertz.

    Example:
        >>> PMR().spectrogram(np.zeros(16_000)).shape
        (257, 1004)
    """

    rate = 16_000
    most = 10 * rate
    shape = (1, 257, 1004)
    version = 1

    def spectrogram(self, samples: Signal) -> Signal:
        from scipy.signal import spectrogram

        repeated = _repeated(samples, self.most)
        _, _, density = spectrogram(repeated, self.rate, nperseg=512, noverlap=353)
        logarithm = np.log(density + 1e-7)
        standardized: Signal = (logarithm - logarithm.mean()) / (logarithm.std() + 1e-9)
        return standardized


AudioName = Literal["fbank", "ogm-ge", "pmr"]

_FRONT_ENDS: dict[AudioName, FrontEnd] = {"fbank": FilterBank(), "ogm-ge": OGMGE(), "pmr": PMR()}


def front_end(name: AudioName) -> FrontEnd:
    """The front end that users call `name`.

    Raises:
        MMParetoError: If there is none.

    Example:
        >>> front_end("pmr").shape
        (1, 257, 1004)
    """
    if name not in _FRONT_ENDS:
        raise MMParetoError(
            f"Parameter `data.audio` should be one of {', '.join(_FRONT_ENDS)}. Found {name!r}."
        )
    return _FRONT_ENDS[name]


def _repeated(samples: Signal, length: int) -> Signal:
    """`samples` repeated up to a length, and clipped: resampling may leave [-1, 1]."""
    return np.resize(samples, length).clip(-1, 1)
