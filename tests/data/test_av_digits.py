"""av-digits: what is paired with what, what the parts share, and recordings that are none."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from made_digits import mnist_arrays, recordings, tone, wav

from mmpareto.data import Splits
from mmpareto.data._av_digits import AVDigits
from mmpareto.data.digits._fsdd import SPEAKERS, Recording, read_recordings
from mmpareto.data.digits._spoken import SpokenDigits, log_spectrogram
from mmpareto.errors import MMParetoError

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(
    not (REAL / "fsdd.zip").exists(), reason=f"needs recordings and MNIST in {REAL}"
)
ARRAYS = mnist_arrays()


def write_zip(folder: Path, files: dict[str, bytes], inside: str = "recordings") -> Path:
    """The folder, with an archive of these files in it."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "fsdd.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{inside}/{name}", content)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    np.savez(folder / "mnist.npz", **ARRAYS)
    return write_zip(folder, recordings())


@pytest.fixture(params=["made", pytest.param("real", marks=needs_real)])
def root(request: pytest.FixtureRequest, made: Path) -> Path:
    return made if request.param == "made" else REAL


def parts(splits: Splits) -> dict[str, SpokenDigits]:
    return {name: part for name, part in vars(splits).items() if isinstance(part, SpokenDigits)}


@pytest.mark.parametrize("split", ["speaker", "official"])
def test_no_recording_and_no_image_is_in_two_parts(split: str, root: Path) -> None:
    found = parts(AVDigits(root, split=split, pairs=3_000).load())
    assert {name: len(part) for name, part in found.items()} == {
        "train": 3_000,
        "val": 1_000,
        "test": 2_000,
    }
    for (_, one), (_, other) in combinations(found.items(), 2):
        assert set(one.recordings).isdisjoint(other.recordings)
        assert set(one.ids.tolist()).isdisjoint(other.ids.tolist())
    for part in found.values():
        assert len(set(part.ids.tolist())) == len(part)  # nor twice in one
        used = Counter(part.recording.tolist())
        assert set(used) == set(range(len(part.recordings)))
        assert max(used.values()) - min(used.values()) <= 1
    assert found["test"].ids.min() >= 60_000 > max(found["train"].ids.max(), found["val"].ids.max())


def test_each_part_has_the_recordings_that_its_split_says(root: Path) -> None:
    def told(split: str) -> dict[str, tuple[set[str], set[int]]]:
        found = {
            name: [r.split("_") for r in part.recordings]
            for name, part in parts(recipe(split)).items()
        }
        return {
            name: ({r[1] for r in own}, {int(r[2]) for r in own}) for name, own in found.items()
        }

    def recipe(split: str) -> Splits:
        return AVDigits(root, split=split, pairs=100).load()

    most = 49 if root == REAL else 11
    seen = {"george", "jackson", "lucas", "nicolas"}
    assert told("speaker") == {
        "train": (seen, set(range(5, most + 1))),
        "val": (seen, set(range(5))),
        "test": ({"theo", "yweweler"}, set(range(most + 1))),
    }
    assert told("official") == {
        "train": (set(SPEAKERS), set(range(10, most + 1))),
        "val": (set(SPEAKERS), set(range(5, 10))),
        "test": (set(SPEAKERS), set(range(5))),
    }


@needs_real
def test_all_real_recordings_are_read() -> None:
    findings = AVDigits(REAL, split="official").check()
    assert findings.problems == []
    facts = dict(findings.facts)
    assert facts["recordings"] == "3,000 of 3,000"
    assert [facts[part] for part in ("train", "val", "test")] == [
        f"{pairs} pairs of {of} recordings"
        for pairs, of in (("4,000", "2,400"), ("1,000", "300"), ("2,000", "300"))
    ]
    found = parts(AVDigits(REAL).load())
    assert [len(part.recordings) for part in found.values()] == [1_800, 200, 1_000]
    spectrograms = found["train"].spectrograms
    torch.testing.assert_close(spectrograms.mean(), torch.tensor(0.0), rtol=0, atol=1e-3)
    torch.testing.assert_close(spectrograms.std(), torch.tensor(1.0), rtol=0, atol=1e-3)


def test_a_recording_and_its_image_are_of_the_class(made: Path) -> None:
    """The pitch of the made recordings and the place of the block in the made images tell their
    digit.
    """
    batch = AVDigits(made, noise=0.0).load().test[:300]
    pitch = batch["inputs"]["audio"][:, 0, :, :16].mean(2).argmax(1)
    assert ((pitch + 1) / 4 - 1).equal(batch["label"].float())
    blocks = torch.from_numpy(ARRAYS["train_images"][:10] / 255).float()
    image = batch["inputs"]["image"][:, 0] * 0.3081 + 0.1307
    torch.testing.assert_close(image, blocks[batch["label"]], rtol=0, atol=1e-6)
    assert batch["label"].unique().tolist() == list(range(10))


def test_images_are_mnists_with_noise_of_the_stated_size(root: Path) -> None:
    clean, noisy = (parts(AVDigits(root, noise=noise, pairs=1_000).load()) for noise in (0.0, 1.5))
    for name, part in noisy.items():
        assert part.ids.equal(clean[name].ids)
        assert part.recording.equal(clean[name].recording)
        noise = part.images - clean[name].images
        bound = 5 / math.sqrt(noise.numel())
        torch.testing.assert_close(noise.mean(), torch.tensor(0.0), rtol=0, atol=1.5 * bound)
        torch.testing.assert_close(noise.std(), torch.tensor(1.5), rtol=0, atol=1.5 * bound)
    own = clean["test"]
    source = ARRAYS if root != REAL else dict(np.load(REAL / "mnist.npz"))
    expected = torch.from_numpy(source["test_images"])[own.ids - 60_000]
    torch.testing.assert_close(
        (own.images[:, 0] * 0.3081 + 0.1307) * 255, expected.float(), rtol=0, atol=1e-3
    )


def test_validation_and_test_do_not_depend_on_the_number_of_training_pairs(made: Path) -> None:
    few, many = (AVDigits(made, pairs=pairs).load() for pairs in (10, 3_000))
    for part in ("val", "test"):
        one, other = getattr(few, part)[:], getattr(many, part)[:]
        assert one["id"].equal(other["id"])
        assert all(one["inputs"][name].equal(other["inputs"][name]) for name in one["inputs"])


def test_samples_have_the_stated_form(made: Path) -> None:
    recipe = AVDigits(made, pairs=50)
    dataset = recipe.load().train
    sample, batch = dataset[3], dataset[[3, 1, 2]]
    assert {name: tuple(value.shape) for name, value in sample["inputs"].items()} == recipe.shapes
    assert set(sample) == {"inputs", "label", "id"}
    for name, value in sample["inputs"].items():
        assert value.dtype == torch.float32
        assert batch["inputs"][name][0].equal(value)
    assert batch["label"].dtype == torch.int64
    assert len(dataset) == 50


def test_pairs_share_spectrograms(made: Path) -> None:
    train = parts(AVDigits(made).load())["train"]
    assert len(train.spectrograms) == len(train.recordings) == 4 * 10 * 7


def slow_spectrogram(samples: np.ndarray) -> np.ndarray:
    """By the definition of the discrete Fourier transform, in float64."""
    sound = np.zeros(8_003)
    sound[: min(len(samples), 8_000)] = samples[:8_000] / 32_768
    window = np.sin(np.pi * np.arange(128) / 128) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(1, 65), np.arange(128)) / 128)
    frames = np.stack([sound[125 * frame :][:128] * window for frame in range(64)], 1)
    return (np.log(np.abs(waves @ frames) + 1e-3) + 5.307) / 2.103


@pytest.mark.parametrize("length", [1, 1_000, 8_000, 18_262])
def test_spectrograms_equal_the_definition(length: int) -> None:
    samples = np.random.default_rng(0).integers(-32_768, 32_767, length).astype("<i2")
    found = log_spectrogram([Recording("any", 0, "theo", 0, samples)])
    assert found.shape == (1, 1, 64, 64)
    torch.testing.assert_close(
        found[0, 0].double(), torch.tensor(slow_spectrogram(samples)), rtol=0, atol=2e-4
    )


def test_the_unpacked_folder_is_the_same_data(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").symlink_to(made / "mnist.npz")
    with zipfile.ZipFile(made / "fsdd.zip") as archive:
        archive.extractall(tmp_path)
    one, other = (AVDigits(folder, pairs=100).load().train[:] for folder in (made, tmp_path))
    assert one["inputs"]["audio"].equal(other["inputs"]["audio"])
    assert sorted(path.name for path in made.iterdir()) == [
        "fsdd.zip",
        "mnist.npz",
    ]  # nothing was unpacked


BAD: dict[str, tuple[str, bytes, str]] = {
    "stereo": (
        "3_theo_7.wav",
        wav(tone(3), channels=2),
        "should be 1 channel of 16 bits at 8000 Hz, found 2, 16, 8000",
    ),
    "8 bits": ("3_theo_7.wav", wav(tone(3), width=1), "found 1, 8, 8000"),
    "rate": ("3_theo_7.wav", wav(tone(3), rate=16_000), "found 1, 16, 16000"),
    "no samples": ("3_theo_7.wav", wav(tone(3, 0)), "more than 0; found 0"),
    "truncated": (
        "3_theo_7.wav",
        wav(tone(3))[:-999],
        "should hold 8000 bytes of samples, more than 0; found 700",
    ),
    "header alone": ("3_theo_7.wav", wav(tone(3))[:20], "it ends too early"),
    "other type": ("3_theo_7.wav", b"ID3" + bytes(100), "file does not start with RIFF id"),
    "empty": ("3_theo_7.wav", b"", "it ends too early"),
    "large": ("3_theo_7.wav", wav(np.zeros(600_000)), "found 1,200,044 bytes"),
    "no digit": ("x_theo_7.wav", wav(tone(3)), "should be named digit_speaker_number.wav"),
    "no number": ("3_theo.wav", wav(tone(3)), "should be named digit_speaker_number.wav"),
    "other speaker": ("3_anna_0.wav", wav(tone(3)), "one of the speakers george, jackson"),
    "leads out": (
        "../../recordings/3_theo_7.wav",
        wav(tone(3)),
        "the path leads out of the archive's folder",
    ),
    "absolute": (
        "/recordings/3_theo_7.wav",
        wav(tone(3)),
        "the path leads out of the archive's folder",
    ),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=BAD)
def test_a_bad_recording_is_named_and_the_others_are_read(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    with zipfile.ZipFile(folder / "fsdd.zip", "w") as archive:
        archive.writestr("recordings/3_theo_6.wav", wav(tone(3)))
        archive.writestr(name if "/" in name else f"recordings/{name}", content)
    read, (problem,) = read_recordings(folder)
    assert [recording.name for recording in read] == ["3_theo_6"]
    assert said in problem.reason
    assert problem.where.startswith(f"{folder / 'fsdd.zip'}:")
    assert problem.where.endswith(name)
    assert [path.name for path in tmp_path.rglob("*")] == [
        "root",
        "fsdd.zip",
    ]  # nothing was unpacked


def test_a_recording_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "fsdd.zip", "w") as archive:
        for folder, digit in (("a", 3), ("b", 4)):
            archive.writestr(f"{folder}/recordings/3_theo_6.wav", wav(tone(digit)))
        archive.writestr("a/recordings/3_theo_7.wav", wav(tone(3)))
    read, (problem,) = read_recordings(tmp_path)
    assert [recording.name for recording in read] == ["3_theo_6", "3_theo_7"]
    assert (read[0].samples == read[1].samples).all()  # it is the first
    place = tmp_path / "fsdd.zip"
    assert problem.where == f"{place}:b/recordings/3_theo_6.wav"
    assert (
        problem.reason
        == f"has the name of {place}:a/recordings/3_theo_6.wav, which is read instead"
    )


def test_bad_recordings_are_left_out_with_a_warning_and_listed(made: Path, tmp_path: Path) -> None:
    write_zip(tmp_path, {**recordings(), "3_theo_7.wav": b"", "4_theo_7.wav": b""})
    (tmp_path / "mnist.npz").symlink_to(made / "mnist.npz")
    recipe = AVDigits(tmp_path, pairs=10)
    findings = recipe.check()
    assert findings.trainable
    assert [problem.where[-12:] for problem in findings.problems] == [
        "3_theo_7.wav",
        "4_theo_7.wav",
    ]
    assert dict(findings.facts)["recordings"] == "718 of 3,000"
    with pytest.warns(
        UserWarning,
        match=r"^2 recordings are left out, the first .*3_theo_7\.wav: it ends too early\. "
        r".*all\.$",
    ):
        test = parts(recipe.load())["test"]
    assert {"3_theo_7", "4_theo_7"}.isdisjoint(test.recordings)


@pytest.mark.parametrize(
    ("compression", "said"),
    [(zipfile.ZIP_STORED, "Bad CRC-32"), (zipfile.ZIP_DEFLATED, "Error -3 while decompressing")],
)
def test_a_damaged_member_is_named_and_the_others_are_read(
    compression: int, said: str, tmp_path: Path
) -> None:
    files = recordings(range(2))
    with zipfile.ZipFile(tmp_path / "fsdd.zip", "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(f"recordings/{name}", content)
    start = (
        archive.getinfo("recordings/4_lucas_1.wav").header_offset
        + 30
        + len("recordings/4_lucas_1.wav")
    )
    with (tmp_path / "fsdd.zip").open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 16)
    read, (problem,) = read_recordings(tmp_path)
    assert len(read) == len(files) - 1
    assert said in problem.reason
    assert problem.where.endswith("recordings/4_lucas_1.wav")


def test_silence_is_read(tmp_path: Path) -> None:
    write_zip(tmp_path, {"0_theo_0.wav": wav(np.zeros(100))})
    (silent,), _ = read_recordings(tmp_path)
    assert log_spectrogram([silent]).unique().numel() == 1


def test_what_else_is_in_the_archive_does_not_matter(tmp_path: Path) -> None:
    write_zip(
        tmp_path,
        {"0_theo_0.wav": wav(tone(0)), "notes.txt": b"", "more/1_theo_0.wav": b""},
        "master/recordings",
    )
    read, problems = read_recordings(tmp_path)
    assert ([recording.name for recording in read], problems) == (["0_theo_0"], [])


def test_a_digit_without_recordings_in_a_part_is_said(made: Path, tmp_path: Path) -> None:
    write_zip(
        tmp_path,
        {name: value for name, value in recordings().items() if not name.startswith("3_theo")},
    )
    (tmp_path / "mnist.npz").symlink_to(made / "mnist.npz")
    AVDigits(tmp_path, pairs=10).load()  # another speaker of the part has it
    write_zip(
        tmp_path,
        {name: value for name, value in recordings(range(5)).items() if name[0] not in "37"},
    )
    with pytest.raises(
        MMParetoError,
        match=r"The train part .* recordings of every digit. Found none of 0, 1, 2, 3",
    ):
        AVDigits(tmp_path).load()
    write_zip(
        tmp_path, {name: value for name, value in recordings().items() if name[0] not in "37"}
    )
    findings = AVDigits(tmp_path).check()
    assert not findings.trainable
    assert "Found none of 3, 7" in findings.problems[-1].reason


def broken_archive(folder: Path) -> Path:
    (folder / "fsdd.zip").write_bytes(b"PK\3\4 no archive")
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder, "as fsdd.zip or as the folder recordings. Found neither in"),
        (lambda folder: folder / "none", "Found neither in"),
        (
            broken_archive,
            "fsdd.zip should be a zip archive of recordings. Found: File is not a zip file",
        ),
        (
            lambda folder: write_zip(folder, recordings(range(1))),
            "Found no file",
        ),  # MNIST is not there
    ],
)
def test_missing_and_broken_files_are_named(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    with pytest.raises(MMParetoError) as caught:
        AVDigits(make(tmp_path)).load()
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_no_root_at_all_is_said_with_the_option_to_add() -> None:
    with pytest.raises(MMParetoError, match=r"Found none: add --data\.root"):
        AVDigits().load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"noise": -1.0}, "`noise` should be finite and not negative. Found -1.0"),
        ({"noise": math.nan}, "`noise` should be finite and not negative. Found nan"),
        ({"split": "random"}, "`split` should be speaker or official. Found 'random'"),
        ({"pairs": 0}, "`pairs` should be from 1 to 40000. Found 0"),
        ({"pairs": 40_001}, "`pairs` should be from 1 to 40000. Found 40001"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(MMParetoError, match=said):
        AVDigits(**settings)


@needs_real
def test_the_most_pairs_use_no_image_twice() -> None:
    train = parts(AVDigits(REAL, pairs=40_000).load())["train"]
    assert len(train.ids.unique()) == 40_000
