"""The audio front ends, each against a computation of somebody else."""

from __future__ import annotations

import math
from pathlib import Path

import kaldi_native_fbank as kaldi
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._audio import read_audio
from mmpareto.data.media._front_ends import OGMGE, PMR, FilterBank, FrontEnd, front_end
from mmpareto.data.media._kaldi import log_energies
from mmpareto.errors import MMParetoError

NAMES = ("fbank", "ogm-ge", "pmr")
DOUBLE, SINGLE = np.finfo(np.float64).eps, np.finfo(np.float32).eps


def signal(kind: str, rate: int, seconds: float) -> np.ndarray:
    """A signal in [-1, 1]: noise, quiet noise, a sweep with offset and noise, or nothing."""
    times = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).uniform(-1, 1, len(times))
    sweep = 0.2 + 0.7 * np.sin(2 * math.pi * (100 + 1000 * times) * times) + 0.01 * noise
    return {"noise": noise, "quiet": 1e-4 * noise, "sweep": sweep, "silence": 0 * noise}[kind]


def kaldi_energies(samples: np.ndarray, width: int, bands: int) -> np.ndarray:
    """Energies [frames, bands] in single precision."""
    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.frame_opts.window_type = (
        16_000,
        0.0,
        "hanning",
    )
    options.frame_opts.frame_length_ms, options.mel_opts.num_bins = width / 16, bands
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(16_000, samples.tolist())
    bank.input_finished()
    return np.exp(
        np.stack([bank.get_frame(n) for n in range(bank.num_frames_ready)], dtype=np.float64)
    )


# Kaldi refuses bands between two frequencies of the transform, of which 128 have some at 25 ms;
# PyTorch's copy of it, which the authors use, takes them as empty. So its bands are compared at a
# longer window, and its window with fewer bands; 128 bands at 25 ms are compared with a slow
# computation below.
@pytest.mark.parametrize(("width", "bands"), [(400, 80), (1600, 128)])
@pytest.mark.parametrize("seconds", [0.11, 2.5])
@pytest.mark.parametrize("kind", ["noise", "quiet", "sweep", "silence"])
def test_energies_are_kaldis(kind: str, seconds: float, width: int, bands: int) -> None:
    samples = signal(kind, 16_000, seconds)
    expected = kaldi_energies(samples, width, bands)
    found = np.exp(log_energies(samples, 16_000, width, 160, bands))
    # In single precision a frequency's place on the mel scale, up to 2,840, is rounded several
    # times, which moves energy between triangles 2,808 / (bands + 1) wide. The transform's rounding
    # is small beside that.
    tolerance = 4 * SINGLE * 2840 * (bands + 1) / 2808
    assert (np.abs(found - expected) < tolerance * expected.max(1, keepdims=True)).all()


def slow_bank(samples: np.ndarray) -> np.ndarray:
    """Energies [128, frames] of the authors' filter bank, term by term."""
    samples = samples - sum(samples) / len(samples)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(256), np.arange(400)) / 512)
    hanning = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    places = 1127 * np.log(1 + np.arange(256) * 31.25 / 700)
    lowest, highest = 1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700)
    step = (highest - lowest) / 129
    columns = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400] - samples[start : start + 400].mean()
        emphasized = [frame[n] - 0.97 * frame[max(n - 1, 0)] for n in range(400)]
        power = abs(turns @ (emphasized * hanning)) ** 2
        column = []
        for band in range(128):
            left, centre, right = (lowest + (band + n) * step for n in range(3))
            rising, falling = (places - left) / (centre - left), (right - places) / (right - centre)
            column.append(max(power @ np.maximum(0, np.minimum(rising, falling)), SINGLE))
        columns.append(column)
    return np.array(columns).T


@pytest.mark.parametrize("kind", ["noise", "quiet", "sweep", "silence"])
def test_the_filter_bank_is_the_authors(kind: str) -> None:
    samples = signal(kind, 16_000, 0.2)
    expected = slow_bank(samples)
    found = np.exp(
        FilterBank().spectrogram(samples)[:, : expected.shape[1]] * (2 * 5.141276) - 4.503877
    )
    # Sums of 400 terms are rounded, and so are logarithms of at most 16 whose exponentials are
    # compared.
    assert (np.abs(found - expected) < 400 * DOUBLE * expected.max(0)).all()


@pytest.mark.parametrize("samples", [400, 16_000, 400 + 160 * 1023, 400 + 160 * 1024 + 5_000])
def test_the_filter_bank_has_1024_frames_the_rest_of_which_is_zero_before_normalization(
    samples: int,
) -> None:
    bank = FilterBank().spectrogram(np.random.default_rng(0).uniform(-1, 1, samples))
    frames = min(1 + (samples - 400) // 160, 1024)
    assert bank.shape == (128, 1024)
    assert (bank[:, frames:] == 4.503877 / (2 * 5.141276)).all()
    assert (bank[:, :frames] != 4.503877 / (2 * 5.141276)).all()


def test_less_than_one_window_is_unreadable_for_the_filter_bank() -> None:
    with pytest.raises(Unreadable, match="shorter than 25 ms: 399 samples"):
        FilterBank().spectrogram(np.ones(399))


@pytest.mark.parametrize("seconds", [0.4, 2.5, 4.0])
@pytest.mark.parametrize("kind", ["noise", "quiet", "sweep", "silence"])
def test_ogm_ge_is_a_centred_transform_of_three_seconds(kind: str, seconds: float) -> None:
    samples = signal(kind, 22_050, seconds)
    tiled = torch.tensor(np.tile(samples, 8)[: 3 * 22_050])
    transform = torch.stft(
        tiled, 512, 353, window=torch.hann_window(512, dtype=torch.float64), return_complex=True
    )
    expected = (transform.abs() + 1e-7).log().numpy()
    # A magnitude is off by the rounding of sums of 512 terms, at most 1; its logarithm by that over
    # at least 1e-7.
    np.testing.assert_allclose(
        OGMGE().spectrogram(samples), expected, rtol=0, atol=512 * DOUBLE / 1e-7
    )


@pytest.mark.parametrize("seconds", [0.4, 2.5, 11.0])
@pytest.mark.parametrize("kind", ["noise", "sweep"])
def test_pmr_is_scipys_spectrogram_of_ten_seconds(kind: str, seconds: float) -> None:
    samples = signal(kind, 16_000, seconds)
    _, _, density = scipy.signal.spectrogram(
        np.tile(samples, 30)[:160_000], 16_000, nperseg=512, noverlap=353
    )
    logarithm = np.log(density + 1e-7)
    expected = (logarithm - logarithm.mean()) / (logarithm.std() + 1e-9)
    # A density, at most 1, is off by the rounding of sums of 512 terms, and its logarithm by that
    # over 1e-7 or more.
    np.testing.assert_allclose(
        PMR().spectrogram(samples), expected, rtol=0, atol=512 * DOUBLE / 1e-7
    )


@pytest.mark.parametrize("name", NAMES)
def test_silence_is_finite(name: str) -> None:
    assert np.isfinite(front_end(name).spectrogram(np.zeros(20_000))).all()


@pytest.mark.parametrize("name", ["ogm-ge", "pmr"])
def test_what_resampling_carried_beyond_full_scale_is_clipped(name: str) -> None:
    loud = 1.2 * signal("noise", 16_000, 2.0)
    assert (
        front_end(name).spectrogram(loud) == front_end(name).spectrogram(loud.clip(-1, 1))
    ).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_file_of_any_rate_becomes_the_stated_shape(name: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, signal("sweep", rate, 1.3), rate)
    decoder = front_end(name)
    spectrogram = decoder(path)
    assert (spectrogram.shape, spectrogram.dtype) == (decoder.shape, np.float32)
    exact = decoder.spectrogram(read_audio(path, decoder.rate).astype(np.float64))
    np.testing.assert_allclose(spectrogram[0], exact, rtol=SINGLE)


def test_names_choose_front_ends_of_different_shape() -> None:
    ends: list[FrontEnd] = [front_end(name) for name in NAMES]
    assert [end.shape for end in ends] == [(1, 128, 1024), (1, 257, 188), (1, 257, 1004)]


def test_another_name_is_refused() -> None:
    with pytest.raises(
        MMParetoError, match=r"`data\.audio` should be one of fbank, ogm-ge, pmr\. Found 'mfcc'\."
    ):
        front_end("mfcc")
