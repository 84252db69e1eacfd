"""Decoders on real files, good and bad, against independent computations."""

from __future__ import annotations

import math
import pickle
import resource
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
from PIL import Image

from data.media import (
    cut,
    picture,
    shades,
    tone,
    write_array,
    write_audio,
    write_frames,
    write_image,
    write_video,
)
from mmpareto.data.caching._cache import Decoder, Source, Unreadable, cached
from mmpareto.data.caching._decoding import Passing, attempt
from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder, read_audio, resampled
from mmpareto.data.media._front_ends import OGMGE
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder

LONG = "/".join(["very long " * 20] * 10) + "/ünïcödé 名前 🎵"
DECODERS = [
    ImageDecoder(224),
    VideoDecoder(1.0, 224),
    SpectrogramDecoder(8_000, 0.5),
    ArrayDecoder((3,)),
]


def gray(path: Path, fps: float, size: int = 48) -> list[int]:
    """Which of the `shades` the frames of a decoded video are."""
    video = VideoDecoder(fps, size)(path)
    assert (video.dtype, video.ndim, video.shape[1]) == (np.uint8, 4, 3)
    return [round(float(frame.mean()) / 20) for frame in video]


# Images


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
def test_images_of_every_mode(mode: str, tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.tif", mode=mode)
    found = ImageDecoder(None)(path).astype(float)
    red, green, blue = picture().transpose(2, 0, 1).astype(float)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    expected = np.stack([luminance] * 3 if mode in ("L", "LA", "1") else [red, green, blue])
    assert found.shape == expected.shape
    # Rounding; 256 colours are coarser, and black and white are right on average alone.
    tolerance = {"P": 64.0, "1": 256.0}.get(mode, 1.0)
    assert np.abs(found - expected).max() <= tolerance
    assert abs(found.mean() - expected.mean()) < 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(mode: str, tmp_path: Path) -> None:
    found = ImageDecoder(None)(write_image(tmp_path / "image.jpg", mode=mode, quality=95))
    expected = (
        picture()
        if mode != "L"
        else np.repeat(np.asarray(Image.fromarray(picture()).convert("L"))[..., None], 3, 2)
    )
    assert np.abs(found.transpose(1, 2, 0).astype(int) - expected).mean() < 3


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    values = np.linspace(0, 65_535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    for name in ("image.png", "image.tif"):
        found = ImageDecoder(None)(write_image(tmp_path / name, values))
        np.testing.assert_array_equal(found, np.stack([np.round(values / 257)] * 3))


def test_sixteen_bits_in_32(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(np.array([[0, 257, 65_535]], np.int32)).save(path)
    assert ImageDecoder(None)(path)[0].tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[70_000]], np.int32), "32 bits"),
        (np.array([[0.5]], np.float32), "floating-point"),
    ],
)
def test_pixels_without_a_known_white_are_refused(
    array: np.ndarray, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(array).save(path)
    with pytest.raises(Unreadable, match=reason):
        ImageDecoder(None)(path)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[:, 1, 3] = 255
    pixels[1, 0, 3] = 51
    path = tmp_path / "alpha.png"
    Image.fromarray(pixels).save(path)
    assert ImageDecoder(None)(path).tolist() == [[[255, 0], [204, 0]]] * 3
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(path, transparency=0)
    assert ImageDecoder(None)(path).tolist() == [[[255, 40]], [[255, 50]], [[255, 60]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(orientation: int, tmp_path: Path) -> None:
    turned = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: x[::-1].transpose(1, 0, 2),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: x[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    path = write_image(tmp_path / "image.png", orientation=orientation)
    np.testing.assert_array_equal(ImageDecoder(None)(path).transpose(1, 2, 0), turned(picture()))


@pytest.mark.parametrize(
    ("height", "width"), [(100, 150), (150, 100), (97, 97), (33, 500), (20, 30), (1, 90)]
)
def test_the_shorter_side_is_brought_to_a_size(height: int, width: int, tmp_path: Path) -> None:
    pixels = picture(height, width)
    found = ImageDecoder(32)(write_image(tmp_path / "image.png", pixels))
    if min(height, width) <= 32:
        np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1))
        return
    rows, columns = (
        triangle(side, round(side * 32 / min(height, width))) for side in (height, width)
    )
    expected = np.einsum("ia,jb,abc->cij", rows, columns, pixels.astype(float))
    assert min(found.shape[1:]) == 32
    assert np.abs(found - expected).max() <= 1.01  # each of two passes rounds


def triangle(before: int, after: int) -> np.ndarray:
    """Weights [after, before] of a resize whose filter is a triangle as wide as two of the new
    pixels.
    """
    scale = max(before / after, 1)
    distance = (np.arange(before) + 0.5) - (np.arange(after)[:, None] + 0.5) * before / after
    weights = np.maximum(0, 1 - np.abs(distance) / scale)
    return weights / weights.sum(1, keepdims=True)


def test_the_first_of_several_pictures(tmp_path: Path) -> None:
    first, second = (Image.fromarray(picture(seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "several.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(
        ImageDecoder(None)(tmp_path / "several.tif").transpose(1, 2, 0), picture()
    )


def test_an_image_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.png")
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(Unreadable, match="decompression bomb"):
        ImageDecoder(224)(path)


def test_an_image_that_memory_does_not_suffice_for_is_named(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.jp2")
    content, size = bytearray(path.read_bytes()), struct.pack(">II", 10_000, 10_000)
    header, stream = content.index(b"ihdr"), content.index(b"\xff\x4f\xff\x51")
    content[header + 4 : header + 12] = content[stream + 8 : stream + 16] = size
    ImageDecoder(224)(path)  # so that all modules are there
    path.write_bytes(content)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, before[1]))
        reason = attempt(ImageDecoder(224), path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert reason == "is an image too large for the memory"


def test_images_at_which_pillow_fails_by_other_errors_are_named(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.png", format="AVIF")
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    form = struct.pack("<8I", 32, 0, 0, 32, 0, 0, 0, 0)  # without any flag
    surface = (
        b"DDS "
        + struct.pack("<7I44x", 124, 0x1007, 4, 4, 16, 0, 0)
        + form
        + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
    )
    (tmp_path / "image.dds").write_bytes(surface + bytes(64))
    for name, error in (("image.png", RuntimeError), ("image.dds", NotImplementedError)):
        with pytest.raises(error), Image.open(tmp_path / name) as image:
            image.load()
        with pytest.raises(Unreadable, match=r"^is a damaged image: .+$"):
            ImageDecoder(224)(tmp_path / name)


# Sound


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


# Video


@pytest.mark.parametrize("ending", ["mp4", "flv", "mkv"])
def test_frames_at_regular_times(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{ending}", shades(12), fps=10)
    assert gray(path, 10.0) == list(range(12))
    assert gray(path, 5.0) == [0, 2, 4, 6, 8, 10]
    assert gray(path, 1.0) == [0, 10]
    assert gray(path, 0.5) == [0]
    assert gray(path, 20.0)[::2] == list(range(12))


def test_the_nearest_frame_of_a_variable_rate(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.1, 0.45, 0.9, 2.0, 2.02, 3.4]
    path = write_video(tmp_path / "clip.mkv", shades(len(times)), times=times)
    for fps in (1.0, 2.0, 3.0, 7.5):
        ticks = np.arange(0, 3.4, 1 / fps)
        assert gray(path, fps) == [int(np.argmin(np.abs(np.array(times) - tick))) for tick in ticks]


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", shades(3), times=[5.0, 6.0, 7.0])
    assert gray(path, 1.0) == [0, 1, 2]


@pytest.mark.parametrize("ending", ["mp4", "flv"])
def test_one_frame(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip.{ending}", shades(2)[1:])
    assert [gray(path, fps) for fps in (0.1, 1.0, 60.0)] == [[1]] * 3


def test_videos_are_shrunk_and_not_enlarged(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [picture(96, 128)])
    assert VideoDecoder(1.0, 48)(path).shape == (1, 3, 48, 64)
    assert VideoDecoder(1.0, 1000)(path).shape == (1, 3, 96, 128)
    colours = VideoDecoder(1.0, 1000)(path)[0].transpose(1, 2, 0).astype(int)
    assert np.abs(colours - picture(96, 128)).mean() < 4


def test_videos_are_upright(tmp_path: Path) -> None:
    """Phones write into the header how the picture is to be turned, here by a quarter clockwise."""
    path = write_video(tmp_path / "clip.mp4", [picture(96, 128)])
    before = VideoDecoder(1.0, 1000)(path)[0]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    assert content[matrix : matrix + 20] == struct.pack(">5i", 1 << 16, 0, 0, 0, 1 << 16)
    content[matrix : matrix + 20] = struct.pack(">5i", 0, 1 << 16, 0, -1 << 16, 0)
    path.write_bytes(content)
    np.testing.assert_array_equal(
        VideoDecoder(1.0, 1000)(path)[0], np.rot90(before, -1, axes=(1, 2))
    )


def test_a_gap_of_hours_is_not_filled(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", shades(2), times=[0, 9000])
    with pytest.raises(Unreadable, match="one frame is shown for 9000 seconds"):
        VideoDecoder(1.0, 48)(path)


def test_folders_of_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", shades(12))
    (folder / ".hidden").write_text("of the system")
    assert gray(folder, 1.0) == list(range(12))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "1.jpg").write_text("text"), r"1\.jpg in it is no image"),
        (lambda folder: cut(folder / "2.jpg", 0.5), r"2\.jpg in it is a damaged image"),
        (lambda folder: write_image(folder / "4.jpg", picture(20, 30)), "different sizes"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no frame"),
        (lambda folder: (folder / "sub").mkdir(), "sub in it cannot be opened: Is a directory"),
    ],
)
def test_bad_folders_of_frames(spoil, reason: str, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip")
    spoil(folder)
    with pytest.raises(Unreadable, match=reason):
        VideoDecoder(1.0, 48)(folder)


# Arrays


@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "i8", "?", "f2"])
def test_arrays_become_single_precision(dtype: str, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for stored in (array, np.asfortranarray(array)):
        found = ArrayDecoder((2, 3))(write_array(tmp_path / "array.npy", stored))
        assert (found.dtype, type(found)) == (np.float32, np.ndarray)
        np.testing.assert_array_equal(found, array.astype(np.float32))


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    harm, path = tmp_path / "harm", tmp_path / "array.npy"
    for write in (
        lambda: write_array(path, np.array([Malicious(harm)], object)),
        lambda: path.write_bytes(pickle.dumps(Malicious(harm))),
    ):
        write()
        with pytest.raises(Unreadable, match="is no array in NumPy's format"):
            ArrayDecoder((1,))(path)
    assert not harm.exists()
    pickle.loads(path.read_bytes())
    assert harm.exists(), "the file does what it should not get a chance to do"


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(3), r"has shape \(3,\), not \(2,\)"),
        (np.array([1, np.nan]), "not finite"),
        (np.array([1, 1e39]), "not finite in single"),
        (np.array([1j, 2]), "holds complex128"),
        (np.array(["a", "b"]), "holds <U1"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=reason):
        ArrayDecoder((2,))(write_array(tmp_path / "array.npy", array))


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    with pytest.raises(Unreadable, match="archive of arrays"):
        ArrayDecoder((2,))(tmp_path / "arrays.npz")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
        )
    with pytest.raises(Unreadable, match="is no array"):
        ArrayDecoder((10**12,))(path)


# All


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
@pytest.mark.parametrize(
    "content", [b"", b"x", b"text\n" * 1000, bytes(range(256)) * 100, b"\0" * 5000]
)
def test_what_is_nothing_of_the_kind(decoder: Decoder, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"^(is|holds|has|cannot|should) ") as raised:
        decoder(path)
    assert "\n" not in str(raised.value)
    assert str(path) not in str(raised.value)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_missing_files_and_folders(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        decoder(tmp_path / "none")
    with pytest.raises(Unreadable, match=r"Is a directory|holds no frame"):
        decoder(tmp_path)


def samples_of(folder: Path) -> dict[str, tuple[Decoder, Path]]:
    image, video, spectrogram, array = DECODERS
    return {
        "png": (image, write_image(folder / "image.png")),
        "jpg": (image, write_image(folder / "image.jpg")),
        "wav": (spectrogram, write_audio(folder / "sound.wav")),
        "flac": (spectrogram, write_audio(folder / "sound.flac")),
        "ogg": (spectrogram, write_audio(folder / "sound.ogg")),
        "mp3": (spectrogram, write_audio(folder / "sound.mp3")),
        "mp4": (video, write_video(folder / "clip.mp4", [picture(seed=n) for n in range(5)])),
        "flv": (video, write_video(folder / "clip.flv", [picture(seed=n) for n in range(5)])),
        "npy": (array, write_array(folder / "array.npy", np.ones(3))),
    }


def test_files_with_wrong_endings_and_long_names_of_any_script(tmp_path: Path) -> None:
    for decoder, path in samples_of(tmp_path).values():
        expected = decoder(path)
        for name in (f"{LONG}.txt", f"{LONG}.png", f"{LONG}.mp4", "\udce9.wav"):
            other = tmp_path / name
            other.parent.mkdir(parents=True, exist_ok=True)
            np.testing.assert_array_equal(decoder(path.rename(other)), expected)
            path = other


@pytest.mark.parametrize("kind", ["png", "jpg", "wav", "flac", "ogg", "mp3", "mp4", "flv", "npy"])
def test_damaged_files_work_or_are_named(kind: str, tmp_path: Path) -> None:
    """Cut off anywhere, or with some bytes changed: never another error, another shape or a number
    that is none.
    """
    decoder, path = samples_of(tmp_path)[kind]
    whole, content, rng = decoder(path), path.read_bytes(), np.random.default_rng(0)
    outcomes = []
    for trial in range(60):
        damaged = bytearray(content)
        if trial % 2:
            del damaged[10 if trial == 1 else int(rng.integers(len(content))) :]
        else:
            for place in rng.integers(len(content), size=8):
                damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outcomes.append(attempt(decoder, path))
    named = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert named
    assert all(reason and "\n" not in reason for reason in named)
    assert all(
        found.ndim == whole.ndim and np.isfinite(found).all()
        for found in outcomes
        if not isinstance(found, str)
    )


@pytest.mark.parametrize("kind", ["png", "jpg", "wav", "mp4", "npy"])
def test_what_the_system_refuses_for_now_is_no_damage(kind: str, tmp_path: Path) -> None:
    decoder, path = samples_of(tmp_path)[kind]
    decoder(path)  # so that all modules are there
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        refused = attempt(decoder, path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert isinstance(refused, Passing)
    assert "Too many open files" in refused
    damaged = attempt(decoder, cut(path, 40))
    assert isinstance(damaged, str)
    assert not isinstance(damaged, Passing)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    secret = write_video(tmp_path / "secret.mp4")
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile secret.mp4\n",
    }
    for name, content in lists.items():
        for ending in ("m3u8", "ffconcat", "mp4"):
            path = tmp_path / f"{name}.{ending}"
            path.write_text(content)
            with pytest.raises(Unreadable, match=r"^is no video that can be decoded: Invalid"):
                VideoDecoder(1.0, 48)(path)
    with av.open(str(tmp_path / "concat.ffconcat"), options={"safe": "0"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10, "FFmpeg by itself opens it"


def test_the_rest_of_the_data_is_unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    good = [write_audio(tmp_path / f"{n}.wav", tone(frequency=300.0 * n)) for n in (1, 2)]
    bad = [
        write_audio(tmp_path / "zero.wav", np.zeros(0)),
        cut(write_audio(tmp_path / "cut.flac"), 50),
    ]
    bad += [write_image(tmp_path / "image.wav", format="PNG"), tmp_path / "none.wav"]
    paths = [good[0], *bad, good[1]]
    cache = cached(
        "sound", [Source(path.name, path) for path in paths], SpectrogramDecoder(8_000, 0.5)
    )
    assert list(cache.damaged) == [1, 2, 3, 4]
    np.testing.assert_array_equal(cache[0], SpectrogramDecoder(8_000, 0.5)(good[0]))
    np.testing.assert_array_equal(cache[5], SpectrogramDecoder(8_000, 0.5)(good[1]))
