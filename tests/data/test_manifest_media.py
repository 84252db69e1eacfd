"""What of files is cut off, stretched, not there or not read."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow
import pytest
from manifests import manifest, notes
from media import tone, write_array, write_audio, write_image
from PIL import Image
from pyarrow import parquet

from mmpareto.data import Manifest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))


def filed(
    folder: Path, column: str, end: str, write: Callable[[Path, int], None], **settings: object
) -> Manifest:
    """A manifest of twenty rows with a file each."""
    rows = notes(20)
    for number, row in enumerate(rows):
        row[column] = f"{number}.{end}"
        write(folder / row[column], number)
    return manifest(folder, rows, **settings)


def reasons(data: Manifest) -> list[str]:
    return [problem.reason for problem in data.check().problems]


def test_texts_that_are_cut_are_named_with_what_they_lose(tmp_path: Path) -> None:
    rows = notes(20)
    for row in rows[:5]:
        row["note"] = "word " * 40
    data = manifest(tmp_path, rows, text_length=50)
    (reason,) = reasons(data)
    assert reason.startswith("column `note`: 5 of 20 texts are longer than 50 tokens, and lose 75%")
    assert reason.endswith("--data.text_length 199 would keep all of it")
    assert reasons(manifest(tmp_path, rows, text_length=199)) == []


def test_recordings_that_are_cut_are_named_and_are_not_silent_for_that(tmp_path: Path) -> None:
    def late(path: Path, number: int) -> None:
        write_audio(path, np.concatenate([np.zeros(8000), tone(8000, 1.0, 300 + number)]), 8000)

    data = filed(tmp_path, "sound", "wav", late, seconds=0.5)
    (reason,) = reasons(data)
    assert reason.startswith("column `sound`: 20 of 20 recordings are longer than 0.5 seconds")
    assert reason.endswith("--data.seconds 2 would keep all of it")
    assert "sound" in data.load().train[0]["inputs"]
    assert reasons(filed(tmp_path, "sound", "wav", late, seconds=2)) == []


def test_silence_is_a_missing_recording(tmp_path: Path) -> None:
    def quiet(path: Path, number: int) -> None:
        write_audio(path, tone(8000, 0.5, 400 + 9 * number) * (number not in (2, 3)), 8000)

    data = filed(tmp_path, "sound", "wav", quiet)
    assert reasons(data) == [
        f"column `sound`: {n}.wav is silent; it is missing there" for n in (2, 3)
    ]
    train = data.load().train
    assert len(train) == 12
    assert train[:]["rows"]["sound"].tolist() == [0, 1, *range(4, 12)]
    assert dict(data.check().facts)["without sound"] == "train 2 of 12, val 0 of 4, test 0 of 4"


def write_clip(path: Path, number: int) -> None:
    """A video of five frames; every fourth one has no sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = out.add_stream("aac", rate=16000, layout="mono") if number % 4 else None
        random = np.random.default_rng(number)
        for _ in range(5):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(video.encode(None))
        for place in range(10 if audio else 0):
            noise = random.normal(0, 0.1, (1, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 1024 * place
            out.mux(audio.encode(frame))
        if audio:
            out.mux(audio.encode(None))


def test_the_sound_of_videos_is_a_modality_of_its_own(tmp_path: Path) -> None:
    data = filed(tmp_path, "clip", "mp4", write_clip, sounds={"voice": "clip"})
    assert set(data.shapes) == {"note", "table", "clip", "voice"}
    splits = data.load()
    assert [len(part) for part in vars(splits).values()] == [12, 4, 4]
    assert dict(data.check().facts)["without voice"] == "train 3 of 12, val 2 of 4, test 0 of 4"
    assert all("clip" in splits.train[number]["inputs"] for number in range(12))
    assert "voice" not in splits.train[0]["inputs"]
    assert "voice" in splits.train[1]["inputs"]


def test_an_array_counts_by_what_it_says_not_by_its_scale(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    source = random.normal(size=(20, 3, 2))
    samples = {}
    for name, scale, offset in (("z", 1.0, 0.0), ("e", 0.01, 0.5)):

        def write(path: Path, number: int, scale: float = scale, offset: float = offset) -> None:
            write_array(path, offset + scale * source[number])

        (tmp_path / name).mkdir()
        data = filed(tmp_path / name, "feature", "npy", write)
        samples[name] = data.load().test[:]["inputs"]["feature"].numpy()
    np.testing.assert_allclose(samples["e"], samples["z"], rtol=1e-4, atol=1e-5)
    rows = notes(20)
    train = source[[row["split"] == "train" for row in rows]].reshape(-1, 6)
    test = source[[row["split"] == "test" for row in rows]].reshape(-1, 6)
    expected = (test - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(samples["z"], expected, rtol=1e-4, atol=1e-5)


def test_lists_in_parquet_are_an_array(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {}
    for row in notes(20):
        for name, cell in row.items():
            columns.setdefault(name, []).append(cell)
    embeddings: list[object] = [[float(n), 2.0, -float(n)] for n in range(20)]
    embeddings[1] = None
    embeddings[8] = [1.0]
    embeddings[9] = [1.0, float("nan"), 2.0]
    columns["embedding"] = embeddings
    parquet.write_table(pyarrow.table(columns), tmp_path / "my.parquet")
    data = Manifest(str(tmp_path / "my.parquet"))
    assert data.shapes["embedding"] == (3,)
    assert reasons(data) == [
        "column `embedding`: a list has 1 numbers, not 3",
        "column `embedding`: a list holds numbers that are not finite in single precision",
    ]
    with pytest.warns(UserWarning, match="2 of 20 rows"):
        train = data.load().train
    known = np.array([0, 2, 3, 10, 11, 16, 17, 18, 19])
    assert train[:]["rows"]["embedding"].tolist() == [0, *range(2, 10)]
    units = (known - known.mean()) / known.std()
    values = train[:]["inputs"]["embedding"][[0, *range(2, 10)]]
    np.testing.assert_allclose(values[:, 0], units, rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], 0)


def test_gray_of_twelve_bits_keeps_its_levels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def scan(path: Path, number: int) -> None:
        pixels = random.normal(1500, 400, (16, 16)).clip(0, 4095)
        Image.fromarray(pixels.astype(np.uint16)).save(path)

    data = filed(tmp_path, "scan", "png", scan)
    assert len(data.load().test[0]["inputs"]["scan"][0].unique()) > 100
    shown = dict(data.check().facts)["scan, gray of more than 8 bits"]
    black, white = (float(word) for word in shown.split() if word[0].isdigit())
    assert 0 <= black < 600 < 2400 < white <= 4095
    stated = filed(tmp_path, "scan", "png", scan, levels=(0, 65535))
    assert len(stated.load().test[0]["inputs"]["scan"][0].unique()) < 20


def cut_wave(path: Path, number: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        samples = np.random.default_rng(number).integers(-9000, 9000, 4000, dtype="<i2")
        file.writeframes(samples.tobytes())
    path.write_bytes(path.read_bytes()[:4044])


def pages(path: Path, number: int) -> None:
    images = [Image.new("L", (8, 8), 9 * number + page) for page in range(3)]
    images[0].save(path, save_all=True, append_images=images[1:])


@pytest.mark.parametrize(
    ("column", "end", "write", "said"),
    [
        ("sound", "wav", cut_wave, "0.wav ends after 0.25 of the 0.5 seconds that it states"),
        ("scan", "tif", pages, "0.tif holds 3 pictures, of which the first is read"),
    ],
)
def test_what_is_read_in_part_is_named_in_one_line(
    column: str, end: str, write: Callable[[Path, int], None], said: str, tmp_path: Path
) -> None:
    (problem,) = filed(tmp_path, column, end, write).check().problems
    assert problem.where == "my.csv, rows 2, 3, 4 and 17 more"
    assert problem.reason == f"column `{column}`: {said}"


@pytest.mark.parametrize("end", ["avif", "jfif"])
def test_newer_endings_are_images(end: str, tmp_path: Path) -> None:
    def picture(path: Path, number: int) -> None:
        write_image(tmp_path / "in.png")
        path.write_bytes((tmp_path / "in.png").read_bytes() + bytes([number]))

    assert filed(tmp_path, "pic", end, picture).check().trainable


@pytest.mark.parametrize(
    ("end", "name"), [("heic", "HEIC"), ("dcm", "DICOM"), ("nii.gz", "NIfTI"), ("HEIF", "HEIC")]
)
def test_formats_that_are_not_read_are_called_by_their_names(
    end: str, name: str, tmp_path: Path
) -> None:
    data = filed(tmp_path, "pic", end, lambda path, number: path.touch())
    (reason,) = reasons(data)
    assert f"Found {name} files, such as '0.{end}': convert them" in reason
    assert "types: {pic: image}" not in reason
