"""Recordings of every kind become samples of one rate, and spectrograms."""

from __future__ import annotations

import math
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.signal
import soundfile

from data.media import (
    tone,
    write_audio,
    write_video,
)
from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._audio import SpectrogramDecoder, read_audio, resampled
from mmpareto.data.media._front_ends import OGMGE


@pytest.mark.parametrize("bits", [8, 16, 24, 32, "float"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_are_the_mean_of_channels(bits: int | str, channels: int, tmp_path: Path) -> None:
    signals = np.stack([tone(seconds=0.1, frequency=100.0 * n) for n in range(1, channels + 1)], 1)
    found = read_audio(write_audio(tmp_path / "sound.wav", signals, bits=bits), 16_000)
    step = 2.0 ** (1 - bits) if isinstance(bits, int) else 0.0
    assert (found.dtype, found.shape) == (np.float32, (1600,))
    np.testing.assert_allclose(found, signals.mean(1), atol=step + 1e-7)


@pytest.mark.parametrize("name", ["sound.flac", "sound.ogg", "sound.mp3", "sound.wav"])
def test_formats_are_told_by_content(name: str, tmp_path: Path) -> None:
    path = write_audio(tmp_path / name)
    for wrong in (".wav", ".mp3", ".txt", ".jpg", ""):
        path = path.rename(path.with_suffix(wrong))
        found = read_audio(path, 16_000)
        assert np.abs(found[2000:14000] - tone()[2000:14000]).mean() < 0.02


@pytest.mark.parametrize("before", [8_000, 11_025, 44_100, 12_345, 16_001])
def test_any_rate_is_brought_to_another(before: int, tmp_path: Path) -> None:
    """A tone stays the same tone, and what the new rate cannot hold is gone."""
    path = write_audio(tmp_path / "sound.wav", tone(before, 0.5, 440.0), before, bits="float")
    found = read_audio(path, 16_000)
    assert len(found) == math.ceil(len(soundfile.read(path)[0]) * 16_000 / before)
    inner = slice(500, 7_000)  # beyond the filter's edges
    np.testing.assert_allclose(
        found[inner], tone(16_000, 1.0, 440.0)[: len(found)][inner], atol=2e-3
    )
    if before == 44_100:
        high = read_audio(
            write_audio(path, tone(before, 0.5, 12_000.0), before, bits="float"), 16_000
        )
        assert np.abs(high[inner]).max() < 1e-2


@pytest.mark.parametrize(
    ("before", "after"), [(767_999, 16_000), (300_007, 44_100), (8_000, 767_999)]
)
def test_odd_ratios_of_rates_take_little_memory(before: int, after: int) -> None:
    samples = tone(before, 0.1)
    tracemalloc.start()
    try:
        found = resampled(samples, before, after)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 200_000_000
    assert len(found) == math.ceil(len(samples) * after / before)
    inner = slice(after // 50, -after // 50)  # beyond the filter's edges
    np.testing.assert_allclose(found[inner], tone(after, 0.2)[: len(found)][inner], atol=2e-3)


@pytest.mark.parametrize("rate", [999, 768_001, 2**31 - 1])
def test_rates_that_no_recording_has_are_refused(rate: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "sound.wav")
    content = bytearray(path.read_bytes())
    content[24:32] = struct.pack("<II", rate, min(2 * rate, 2**32 - 1))
    path.write_bytes(content)
    with pytest.raises(
        Unreadable, match=rf"^has {rate:,} samples per second, not 1,000 to 768,000$"
    ):
        read_audio(path, 16_000)


def test_samples_of_a_kind_that_numpy_lacks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s64le", rate=16_000, layout="mono")
        frame = av.AudioFrame(format="s64", layout="mono", samples=1_000)
        frame.sample_rate = 16_000
        frame.planes[0].update(np.arange(1_000, dtype="<i8").tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(
        Unreadable, match=r"^has samples of a kind that NumPy has no numbers for: s64$"
    ):
        read_audio(path, 16_000)


@pytest.mark.parametrize("before", [8_000, 16_000, 16_001, 44_100, 50_021])
def test_of_a_long_recording_the_beginning_alone_is_decoded(before: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * before, 2))
    path = write_audio(tmp_path / "sound.wav", noise, before, bits="float")
    whole = read_audio(path, 16_000)
    for most in (1, 777, 16_000, 31_999, len(whole) - 1, len(whole), len(whole) + 1):
        np.testing.assert_array_equal(read_audio(path, 16_000, most), whole[:most])
    expected = [decoder(path) for decoder in (SpectrogramDecoder(16_000, 0.5), OGMGE())]
    noise[-1] = np.nan
    write_audio(path, noise, before, bits="float")
    with pytest.raises(Unreadable, match="not finite"):
        read_audio(path, 16_000)
    np.testing.assert_array_equal(read_audio(path, 16_000, 16_000), whole[:16_000])
    np.testing.assert_array_equal(SpectrogramDecoder(16_000, 0.5)(path), expected[0])
    noise = np.concatenate([noise[:-1], noise])
    with_more = write_audio(tmp_path / "more.wav", noise, before, bits="float")
    assert np.isfinite(OGMGE()(with_more)).all()


def test_silence_works_and_no_sound_is_named(tmp_path: Path) -> None:
    silent = write_audio(tmp_path / "silent.wav", np.zeros(8_000))
    assert not read_audio(silent, 16_000).any()
    assert (SpectrogramDecoder(16_000, 0.5)(silent) == -2).all()
    with pytest.raises(Unreadable, match="length is zero"):
        read_audio(write_audio(tmp_path / "none.wav", np.zeros(0)), 16_000)
    with pytest.raises(Unreadable, match="holds no audio"):
        read_audio(write_video(tmp_path / "mute.mp4"), 16_000)
    with pytest.raises(Unreadable, match="not finite"):
        read_audio(write_audio(tmp_path / "nan.wav", np.array([0.1, np.nan]), bits="float"), 16_000)


@pytest.mark.parametrize("ending", ["mp4", "flv", "mkv"])
def test_the_sound_of_a_video(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{ending}", sound=tone(44_100))
    spectrum = np.abs(np.fft.rfft(read_audio(path, 16_000)[2000:14000]))
    assert np.argmax(spectrum) == 12000 * 440 / 16_000


@pytest.mark.parametrize(
    ("rate", "seconds", "length"), [(16_000, 1.0, 1.0), (8_000, 0.5, 1.0), (22_050, 1.5, 1.0)]
)
def test_spectrograms_are_decibels_of_amplitudes(
    rate: int, seconds: float, length: float, tmp_path: Path
) -> None:
    signal = tone(rate, length, 1000.0) + 0.1 * np.random.default_rng(0).normal(
        size=round(rate * length)
    )
    decoder = SpectrogramDecoder(rate, seconds)
    found = decoder(write_audio(tmp_path / "sound.wav", signal, rate, bits="float"))
    assert (found.dtype, found.shape) == (np.float32, decoder.shape)
    samples, window, hop = round(rate * seconds), round(rate * 0.025), round(rate * 0.01)
    filled = np.zeros(samples + 2 * (window // 2))
    kept = signal[:samples]
    filled[window // 2 : window // 2 + len(kept)] = kept
    hann = scipy.signal.get_window("hann", window)
    for column in range(found.shape[2]):
        amplitude = (
            np.abs(np.fft.rfft(filled[column * hop : column * hop + window] * hann))
            * 2
            / hann.sum()
        )
        decibels = 20 * np.log10(np.maximum(amplitude, 1e-4))
        np.testing.assert_allclose(found[0, :, column], (decibels + 40) / 20, atol=2e-3)


def test_full_scale_is_two(tmp_path: Path) -> None:
    found = SpectrogramDecoder(16_000, 1.0)(
        write_audio(tmp_path / "sound.wav", 2 * tone(frequency=1000.0), bits="float")
    )
    assert found[0, 25, 50] == pytest.approx(2, abs=1e-3)
