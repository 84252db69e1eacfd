"""kinetics-sounds: clips with sound of their own or beside them, frames, and lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from media import shades, tone, write_audio, write_frames, write_video

from mmpareto.balancing import MMPareto
from mmpareto.data import KineticsSounds, Splits
from mmpareto.data.media._front_ends import front_end
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig
from mmpareto.training.run import run

LABELS = (0, 7, 30)
TRAIN = {
    f"-a{number:02d}bcdefgh_{number:06d}_{number + 10:06d}": LABELS[number % 3]
    for number in range(12)
}
TEST = {
    f"z_{number:02d}xyzabcd_{number:06d}_{number + 10:06d}": LABELS[number % 3]
    for number in range(6)
}
BESIDE, FRAMES, SILENT = list(TRAIN)[:3]
"""Clips with a sound file as well, with frames instead of a video, and without any sound."""


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPARETO_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> KineticsSounds:
    root = tmp_path_factory.mktemp("kinetics")
    for number, name in enumerate(TRAIN | TEST):
        frequency = 100 + 100 * number
        if name == FRAMES:
            write_frames(root / "video" / name, shades(3, 24, 32))
        else:
            sound = None if name == SILENT else tone(44_100, 0.5, frequency)
            path = root / "video" / f"{name}{('.mp4', '.mkv')[number % 2]}"
            write_video(path, shades(5, 24, 32), fps=2, sound=sound)
        if name in (BESIDE, FRAMES):
            write_audio(root / "audio" / f"{name}.wav", tone(seconds=0.5, frequency=frequency + 50))
    write_lists(root, train=rows(TRAIN), test=rows(TEST))
    made = KineticsSounds(root, size=16)
    made.prepare()
    return made


def rows(labels: dict[str, int]) -> list[str]:
    return [f"{name},10,{label}" for name, label in labels.items()]


def write_lists(folder: Path, **parts: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for part, lines in parts.items():
        (folder / f"{part}.csv").write_text("".join(f"{line}\n" for line in lines))
    return folder


def load(recipe: KineticsSounds, left_out: str) -> Splits:
    with pytest.warns(UserWarning, match=f"kinetics-sounds: {left_out} samples are left out"):
        return recipe.load()


def test_parts_are_the_lists_with_a_ninth_held_out(recipe: KineticsSounds) -> None:
    splits = load(recipe, "1 of 18")
    ids = {part: list(getattr(splits, part)[:]["id"]) for part in ("train", "val", "test")}
    assert sorted(ids["train"] + ids["val"]) == sorted(TRAIN.keys() - {SILENT})
    assert ids["val"]
    assert sorted(ids["test"]) == sorted(TEST)
    for part in vars(splits).values():
        batch = part[:]
        assert batch["label"].tolist() == [(TRAIN | TEST)[name] for name in batch["id"]]


def test_samples_have_the_stated_shapes_and_the_clips_own_sound(recipe: KineticsSounds) -> None:
    root, splits = Path(recipe.root), load(recipe, "1 of 18")
    for part in (splits.train, splits.test):
        batch = part[:]
        assert {
            name: tuple(values.shape[1:]) for name, values in batch["inputs"].items()
        } == recipe.shapes
        for name, audio in zip(batch["id"], batch["inputs"]["audio"], strict=True):
            beside = root / "audio" / f"{name}.wav"
            path = beside if beside.exists() else next((root / "video").glob(f"{name}.*"))
            assert audio.equal(torch.from_numpy(front_end("fbank")(path)))


def test_two_epochs_are_trained_and_evaluated(recipe: KineticsSounds, tmp_path: Path) -> None:
    config = RunConfig(
        replace(recipe, audio="ogm-ge"), MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=4
    )
    with pytest.warns(UserWarning, match="1 of 18 samples are left out"):
        metrics = run(config, tmp_path, progress=False)
    assert set(metrics["test"]) == {"joint_accuracy", "audio_accuracy", "video_accuracy"}


def test_a_check_names_clips_without_sound_and_other_numbers_than_reported(
    recipe: KineticsSounds,
) -> None:
    findings = recipe.check()
    assert findings.trainable
    problems = {Path(problem.where).stem: problem.reason for problem in findings.problems}
    assert set(problems) == {"train", "test", SILENT}
    assert problems["train"] == "12 clips; the paper has 14,799"


def test_clips_gone_from_the_folder_are_left_out_and_listed_with_their_row(
    recipe: KineticsSounds, tmp_path: Path
) -> None:
    gone = "abcdefghijk_000001_000011"
    lists = write_lists(tmp_path / "lists", train=[*rows(TRAIN), f"{gone},10,3"], test=rows(TEST))
    own = replace(recipe, split=lists)
    load(own, "2 of 19")
    problems = {problem.where: problem.reason for problem in own.check().problems}
    assert problems[f"{lists}/train.csv, row 13"] == f"{gone} has no audio and no video file"


def test_frames_without_a_sound_file_are_left_out(recipe: KineticsSounds, tmp_path: Path) -> None:
    own = replace(recipe, audio_folder="nowhere")
    load(own, "2 of 18")
    assert f"{FRAMES} has no audio file" in [problem.reason for problem in own.check().problems]


def test_a_validation_list_is_kept(recipe: KineticsSounds, tmp_path: Path) -> None:
    lists = write_lists(
        tmp_path / "lists", train=rows(TRAIN)[:9], val=rows(TRAIN)[9:], test=rows(TEST)
    )
    splits = load(replace(recipe, split=lists), "1 of 18")
    assert sorted(splits.val[:]["id"]) == sorted(list(TRAIN)[9:])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,10,31", "row 1 should end with a class from 0 to 30. Found '31'."),
        ("a,10,-1", "row 1 should end with a class from 0 to 30. Found '-1'."),
        ("a,10,piano", "row 1 should end with a class from 0 to 30. Found 'piano'."),
        ("a,long,3", "row 1 should have a number of seconds in its middle. Found 'long'."),
        ("../a,10,3", "row 1 should begin with a name without folders. Found '../a'."),
        ("a,3", "row 1 should be name,seconds,class index. Found 2 cells: a,3"),
    ],
)
def test_a_list_that_is_wrong_is_named_with_its_row(
    row: str, said: str, recipe: KineticsSounds, tmp_path: Path
) -> None:
    own = replace(recipe, split=write_lists(tmp_path / "lists", train=[row], test=rows(TEST)))
    with pytest.raises(MMParetoError) as error:
        own.load()
    assert f"{tmp_path}/lists/train.csv, {said}" in str(error.value)


def test_two_files_of_one_clip_are_refused(recipe: KineticsSounds, tmp_path: Path) -> None:
    for end in (".mp4", ".mkv"):
        write_video(tmp_path / "video" / f"{BESIDE}{end}", shades(1))
    own = replace(recipe, root=tmp_path, split=recipe.root)
    with pytest.raises(
        MMParetoError, match=rf"should hold each clip once\. Found {BESIDE}\.mkv and {BESIDE}\.mp4"
    ):
        own.load()


def test_there_are_31_different_classes() -> None:
    names = KineticsSounds().target.names
    assert len(set(names)) == 31
    assert (names[0], names[7], names[30]) == ("blowing nose", "accordion", "tickling")


def test_every_clip_is_in_one_part(recipe: KineticsSounds) -> None:
    parts = [part[:]["id"] for part in vars(load(recipe, "1 of 18")).values()]
    assert len(set(chain(*parts))) == sum(map(len, parts))
