"""Real encoded files, small, made for a test."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth picture, uint8 [height, width, 3], different for each seed."""
    phase = np.random.default_rng(seed).uniform(0, 6, (3, 2))
    down, along = np.linspace(0, 5, height)[:, None, None], np.linspace(0, 5, width)[None, :, None]
    return (127.5 + 63 * (np.sin(down + phase[:, 0]) + np.sin(along + phase[:, 1]))).astype(
        np.uint8
    )


def write_image(
    path: Path,
    pixels: np.ndarray | None = None,
    *,
    mode: str = "RGB",
    orientation: int | None = None,
    **options: Any,
) -> Path:
    """Writes an image.

    Args:
        path: Whose ending chooses the format, unless `options` has ``format``.
        pixels: uint8 [H, W, 3], of mode L uint8 [H, W]; uint16 [H, W] makes a gray image of 16
            bits.
        mode: Of Pillow, as RGB, RGBA, L, LA, P, 1 or CMYK.
        orientation: EXIF's number of how the picture is turned.
        options: Of Pillow's `save`.
    """
    image = Image.fromarray(picture() if pixels is None else pixels)
    if image.mode != "I;16":
        image = image.quantize() if mode == "P" else image.convert(mode)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def tone(rate: int = 16_000, seconds: float = 1.0, frequency: float = 440.0) -> np.ndarray:
    """A sine of half the full scale, float64 [samples]."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def write_audio(
    path: Path, samples: np.ndarray | None = None, rate: int = 16_000, *, bits: int | str = 16
) -> Path:
    """Writes a recording.

    Args:
        path: Whose ending chooses the format: wav, flac, ogg, mp3.
        samples: Float in [-1, 1], [samples] or [samples, channels]; none make a file of length
            zero.
        rate: Samples per second.
        bits: Of a sample in a wav or flac file, 8, 16, 24 or 32, or "float".
    """
    subtypes: dict[int | str, str] = {
        8: "PCM_U8",
        16: "PCM_16",
        24: "PCM_24",
        32: "PCM_32",
        "float": "FLOAT",
    }
    chosen = subtypes[bits] if path.suffix in (".wav", ".flac") else None
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate) if samples is None else samples, rate, subtype=chosen)
    return path


def shades(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames that tell their number: frame n is gray of value ``20 * n`` (of at most 12)."""
    return [np.full((height, width, 3), 20 * number, np.uint8) for number in range(count)]


def write_video(
    path: Path,
    frames: Sequence[np.ndarray] | None = None,
    *,
    fps: int = 10,
    times: Sequence[float] | None = None,
    sound: np.ndarray | None = None,
) -> Path:
    """Writes a video: h264 in mp4, flv1 in flv, as CREMA-D has it.

    Args:
        path: Whose ending chooses the format: mp4, mkv, flv.
        frames: uint8 [H, W, 3], even sizes.
        fps: Frames per second.
        times: Seconds at which the frames are shown, for a variable rate; multiples of a
            millisecond.
        sound: float [samples] at 44,100 Hz, for a track beside the picture.
    """
    frames = shades(10) if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv1" if path.suffix == ".flv" else "libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        track = (
            None
            if sound is None
            else container.add_stream("aac" if path.suffix != ".flv" else "mp3", rate=44_100)
        )
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if times is None else round(1000 * times[number])
            frame.time_base = Fraction(1, fps if times is None else 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None and sound is not None:
            _encode_sound(container, track, sound)
    return path


def _encode_sound(container: Any, track: Any, sound: np.ndarray) -> None:
    frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = 44_100
    frame.pts = 0
    fifo = av.AudioFifo()
    fifo.write(frame)
    resampler = av.AudioResampler(format=track.format, layout=track.layout, rate=44_100)
    while (piece := fifo.read(1024, partial=True)) is not None:
        for fitted in resampler.resample(piece):
            container.mux(track.encode(fitted))
    container.mux(track.encode())


def write_frames(
    folder: Path, frames: Sequence[np.ndarray] | None = None, ending: str = "jpg"
) -> Path:
    """Writes a folder of a video's frames: 1.jpg, 2.jpg, ..."""
    for number, pixels in enumerate(shades(3) if frames is None else frames, 1):
        write_image(folder / f"{number}.{ending}", pixels)
    return folder


def write_array(path: Path, array: np.ndarray) -> Path:
    """Writes a .npy file; an array of objects is pickled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def cut(path: Path, bytes_kept: int | float) -> Path:
    """Cuts a file off after so many bytes, or that share of it."""
    content = path.read_bytes()
    kept = bytes_kept if isinstance(bytes_kept, int) else int(len(content) * bytes_kept)
    path.write_bytes(content[:kept])
    return path
