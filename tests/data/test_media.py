"""Decoders on real files, good and bad, against independent computations."""

from __future__ import annotations

import resource
import warnings
from pathlib import Path

import av
import numpy as np
import pytest

from data.media import (
    cut,
    picture,
    tone,
    write_array,
    write_audio,
    write_image,
    write_video,
)
from mmpareto.data.caching._cache import Decoder, Source, Unreadable, cached
from mmpareto.data.caching._decoding import DecodingFailure, attempt
from mmpareto.data.media._array import ArrayDecoder
from mmpareto.data.media._audio import SpectrogramDecoder
from mmpareto.data.media._image import ImageDecoder
from mmpareto.data.media._video import VideoDecoder

LONG = "/".join(["very long " * 20] * 10) + "/ünïcödé 名前 🎵"
DECODERS = [
    ImageDecoder(224),
    VideoDecoder(1.0, 224),
    SpectrogramDecoder(8_000, 0.5),
    ArrayDecoder((3,)),
]


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
    named = [outcome.reason for outcome in outcomes if isinstance(outcome, DecodingFailure)]
    assert named
    assert all(reason and "\n" not in reason for reason in named)
    assert all(
        found.ndim == whole.ndim and np.isfinite(found).all()
        for found in outcomes
        if not isinstance(found, DecodingFailure)
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
    assert isinstance(refused, DecodingFailure)
    assert refused.temporary
    assert "Too many open files" in refused.reason
    damaged = attempt(decoder, cut(path, 40))
    assert isinstance(damaged, DecodingFailure)
    assert not damaged.temporary


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
