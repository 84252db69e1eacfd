"""cremad: a small tree in the layout as distributed, its divisions, and what is wrong with it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from media import cut, shades, tone, write_audio, write_frames, write_video

from mmpareto.balancing import MMPareto
from mmpareto.data import CREMAD, Splits
from mmpareto.data.media._front_ends import front_end
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig
from mmpareto.training.run import run

EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
ACTORS = tuple(range(1001, 1007))
NAMES = tuple(f"{actor}_DFA_{emotion}_XX" for actor in ACTORS for emotion in EMOTIONS)
PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def distributed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as distributed, of six actors, with small clips."""
    root = tmp_path_factory.mktemp("CREMA-D")
    for number, name in enumerate(NAMES):
        write_audio(
            root / "AudioWAV" / f"{name}.wav", tone(seconds=0.5, frequency=100 + 50 * number)
        )
        write_video(root / "VideoFlash" / f"{name}.flv", shades(5, 24, 32), fps=2)
    return root


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPARETO_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="module")
def recipe(distributed: Path) -> CREMAD:
    """Prepared by two processes."""
    made = CREMAD(distributed, size=16)
    made.prepare(workers=2)
    return made


@pytest.fixture
def copied(distributed: Path, tmp_path: Path) -> CREMAD:
    """A recipe for a copy that may be damaged."""
    shutil.copytree(distributed, tmp_path / "copy")
    return CREMAD(tmp_path / "copy", size=16)


def ids(splits: Splits) -> dict[str, list[str]]:
    return {part: list(getattr(splits, part)[:]["id"]) for part in PARTS}


def actors(names: list[str]) -> set[str]:
    return {name[:4] for name in names}


def write_lists(folder: Path, **parts: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for part, rows in parts.items():
        (folder / f"{part}.csv").write_text("".join(f"{row}\n" for row in rows))
    return folder


def listed(names: tuple[str, ...] | list[str]) -> list[str]:
    return [f"{name},{name[9:12]}" for name in names]


def test_no_actor_is_in_two_parts_and_every_clip_in_one(recipe: CREMAD) -> None:
    parts = ids(recipe.load())
    assert sorted(chain(*parts.values())) == sorted(NAMES)
    met = [actors(names) for names in parts.values()]
    assert all(met)
    assert sum(map(len, met)) == len(ACTORS)


def test_the_division_is_the_seeds(recipe: CREMAD) -> None:
    parts = [ids(replace(recipe, seed=seed).load()) for seed in (0, 0, 1, 2)]
    assert parts[0] == parts[1]
    assert len({tuple(division["test"]) for division in parts}) > 1


def test_samples_are_the_decoded_files(recipe: CREMAD, distributed: Path) -> None:
    batch = recipe.load().test[:]
    assert {
        name: tuple(values.shape[1:]) for name, values in batch["inputs"].items()
    } == recipe.shapes
    for name, label, audio in zip(
        batch["id"], batch["label"], batch["inputs"]["audio"], strict=True
    ):
        assert EMOTIONS[label] == name[9:12]
        expected = front_end("fbank")(distributed / "AudioWAV" / f"{name}.wav")
        assert audio.equal(torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("change", "decoded"),
    [
        ({"frames": 3, "seed": 5}, set()),
        ({"fps": 2.0}, {"cremad-video"}),
        ({"size": 12}, {"cremad-video"}),
    ],
)
def test_what_changes_no_decoded_byte_decodes_nothing(
    change: dict[str, float], decoded: set[str], recipe: CREMAD
) -> None:
    names = set()
    replace(recipe, **change).prepare(progress=lambda name, done, total: names.add(name))
    assert names == decoded


@pytest.mark.parametrize("audio", ["ogm-ge", "pmr"])
def test_other_front_ends_are_chosen_by_name(audio: str, recipe: CREMAD) -> None:
    other = replace(recipe, audio=audio)
    assert (
        tuple(other.load().val[0]["inputs"]["audio"].shape)
        == other.shapes["audio"]
        == front_end(audio).shape
    )


def test_two_epochs_are_trained_and_evaluated(recipe: CREMAD, tmp_path: Path) -> None:
    config = RunConfig(recipe, MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=6)
    metrics = run(config, tmp_path, progress=False)
    for part in ("val", "test"):
        assert set(metrics[part]) == {"joint_accuracy", "audio_accuracy", "video_accuracy"}
        assert all(0 <= value <= 1 for value in metrics[part].values())


def test_frames_already_extracted_take_the_place_of_videos(recipe: CREMAD, copied: CREMAD) -> None:
    for name in NAMES:
        first = EMOTIONS.index(name[9:12])
        frames = [
            shades(12)[first + more] for more in (0, 6, 5, 6)
        ]  # of which evaluation takes the first and third
        write_frames(Path(copied.root) / "Image-01-FPS" / name, frames)
    shutil.rmtree(Path(copied.root) / "VideoFlash")
    splits = replace(copied, video_folder="Image-01-FPS").load()
    assert ids(splits) == ids(recipe.load())
    batch = splits.train[list(range(len(splits.train)))]
    std, mean = torch.tensor((0.229, 0.224, 0.225)), torch.tensor((0.485, 0.456, 0.406))
    found = 255 * (batch["inputs"]["video"].mean((-2, -1)).transpose(1, 2) * std + mean)
    expected = torch.stack([20 * batch["label"], 20 * batch["label"] + 100], 1)[
        ..., None
    ].expand_as(found)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=3)  # JPEG rounds


def test_damaged_clips_are_left_out_and_listed(
    recipe: CREMAD, copied: CREMAD, tmp_path: Path
) -> None:
    video, audio = (
        Path(copied.root) / path
        for path in (f"VideoFlash/{NAMES[3]}.flv", f"AudioWAV/{NAMES[10]}.wav")
    )
    cut(video, 50)
    write_audio(audio, np.zeros(0))
    with pytest.warns(
        UserWarning,
        match=r"cremad: 2 of 36 samples are left out: `mmpareto data check cremad` says",
    ):
        found = ids(copied.load())
    expected = {part: [name for name in names if name not in (NAMES[3], NAMES[10])]
                for part, names in ids(recipe.load()).items()}  # fmt: skip
    assert found == expected
    problems = {problem.where: problem for problem in copied.check().problems}
    assert {str(video), str(audio)} <= set(problems)
    assert not any(problem.fatal for problem in problems.values())
    lists = write_lists(tmp_path / "lists", train=listed(NAMES[12:30]), test=listed(NAMES[30:]))
    assert (
        len(replace(copied, split=lists).load().test) == 6
    )  # no warning where nothing listed is damaged


def test_clips_without_partner_and_foreign_files_are_left_out_and_listed(copied: CREMAD) -> None:
    root = Path(copied.root)
    (root / "AudioWAV" / f"{NAMES[0]}.wav").unlink()
    (root / "VideoFlash" / f"{NAMES[1]}.flv").unlink()
    (root / "AudioWAV" / "recording.wav").write_bytes(b"")
    (root / "AudioWAV" / ".hidden.wav").write_bytes(b"")
    (root / "AudioWAV" / "README.txt").write_text("no sound")
    with pytest.warns(UserWarning, match="2 of 36 samples are left out"):
        assert sorted(chain(*ids(copied.load()).values())) == sorted(NAMES[2:])
    problems = {problem.where: problem.reason for problem in copied.check().problems}
    assert problems == {
        str(root): "36 clips of 6 actors; as published there are 7,442 of 91",
        "recording": "no clip of CREMA-D is called so: passed over",
        NAMES[0]: f"{NAMES[0]} has no audio file",
        NAMES[1]: f"{NAMES[1]} has no video file",
    }


def test_a_check_says_what_there_is(recipe: CREMAD) -> None:
    findings = recipe.check()
    facts = dict(findings.facts)
    assert findings.trainable
    assert [facts[part] for part in PARTS] == [
        f"{len(names)} samples" for names in ids(recipe.load()).values()
    ]
    assert facts["classes"] == "NEU 6, HAP 6, SAD 6, FEA 6, DIS 6, ANG 6"
    assert [problem.reason for problem in findings.problems] == [
        "36 clips of 6 actors; as published there are 7,442 of 91"
    ]


def test_lists_divide_as_they_say_and_shared_actors_are_counted(
    recipe: CREMAD, tmp_path: Path
) -> None:
    lists = write_lists(
        tmp_path / "lists",
        train=listed(NAMES[:20]),
        val=listed(NAMES[20:24]),
        test=listed(NAMES[15:18] + NAMES[24:]),
    )
    lists = write_lists(lists, train=listed(NAMES[:15] + NAMES[18:20]))
    own = replace(recipe, split=lists)
    shared = "1 of the 3 actors of the test part are in the training part too"
    with pytest.warns(UserWarning, match=f"cremad: {shared}"):
        found = ids(own.load())
    assert found == {
        "train": [*NAMES[:15], *NAMES[18:20]],
        "val": list(NAMES[20:24]),
        "test": [*NAMES[15:18], *NAMES[24:]],
    }
    assert any(
        problem.reason.startswith(shared) and not problem.fatal for problem in own.check().problems
    )
    assert any(note.startswith(shared) for note in own.notes)
    assert any("17 train, 4 val, 15 test clips" in note for note in own.notes)


def test_without_shared_actors_there_is_no_warning(recipe: CREMAD, tmp_path: Path) -> None:
    own = replace(
        recipe,
        split=write_lists(tmp_path / "lists", train=listed(NAMES[:30]), test=listed(NAMES[30:])),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own.load()
    assert not any("actors" in note for note in own.notes)


def test_without_a_validation_list_a_ninth_of_each_class_is_held_out(
    recipe: CREMAD, tmp_path: Path
) -> None:
    lists = write_lists(tmp_path / "lists", train=listed(NAMES[:30]), test=listed(NAMES[30:]))
    own = replace(recipe, split=lists)
    found = ids(own.load())
    assert sorted(found["train"] + found["val"]) == sorted(NAMES[:30])
    assert sorted(name[9:12] for name in found["val"]) == sorted(EMOTIONS)
    assert ids(replace(own, seed=3).load())["val"] != found["val"]
    assert any("A ninth of the listed training clips" in note for note in own.notes)


UNNAMED = "row 1 should begin with a name without folders. Found "
ELSEWHERE = "should name a sample that is listed nowhere else"
WRONG_LISTS = {
    "path": (["../1001_DFA_ANG_XX,ANG"], UNNAMED + "'../1001_DFA_ANG_XX'."),
    "absolute": (["/etc/passwd,ANG"], UNNAMED + "'/etc/passwd'."),
    "label": (
        [*listed(NAMES[:2]), "1001_DFA_ANG_XX,SAD"],
        "row 3 should say ANG. Found 1001_DFA_ANG_XX,SAD.",
    ),
    "name": (
        ["clip id,label"],
        "row 1 should say a clip's name, as 1001_DFA_ANG_XX. Found clip id,label.",
    ),
    "cells": (
        ["1001_DFA_ANG_XX"],
        "row 1 should be clip id,emotion. Found 1 cells: 1001_DFA_ANG_XX",
    ),
    "twice": (listed([NAMES[0]] * 2), f"row 2 {ELSEWHERE}. Found {NAMES[0]},"),
    "test": (listed([NAMES[-1]]), f"test.csv, row 6 {ELSEWHERE}."),
    "empty": ([], "should hold samples for the train part. Found none."),
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_a_list_that_is_wrong_is_named_with_its_row(
    wrong: str, recipe: CREMAD, tmp_path: Path
) -> None:
    rows, said = WRONG_LISTS[wrong]
    own = replace(
        recipe, split=write_lists(tmp_path / "lists", train=rows, test=listed(NAMES[30:]))
    )
    with pytest.raises(MMParetoError) as error:
        own.load()
    assert said in str(error.value)
    (problem,) = own.check().problems
    assert problem.fatal
    assert problem.reason == str(error.value)


def test_a_missing_list_is_named(recipe: CREMAD, tmp_path: Path) -> None:
    own = replace(recipe, split=write_lists(tmp_path / "lists", train=listed(NAMES[:30])))
    with pytest.raises(MMParetoError, match=r"lists/test\.csv should be a file that can be read"):
        own.load()


def test_listed_clips_that_are_not_there_are_left_out_and_listed(
    recipe: CREMAD, tmp_path: Path
) -> None:
    train = [*listed(NAMES[:30]), "1091_WSI_SAD_XX,SAD"]
    own = replace(
        recipe, split=write_lists(tmp_path / "lists", train=train, test=listed(NAMES[30:]))
    )
    with pytest.warns(UserWarning, match="cremad: 1 of 37 samples are left out"):
        assert len(own.load().test) == 6
    problems = {problem.where: problem.reason for problem in own.check().problems}
    assert (
        problems[f"{tmp_path}/lists/train.csv, row 31"]
        == "1091_WSI_SAD_XX has no audio and no video file"
    )


def test_a_class_only_in_the_test_part_is_said(recipe: CREMAD, tmp_path: Path) -> None:
    train = [row for row in listed(NAMES[:30]) if not row.endswith("FEA")]
    own = replace(
        recipe, split=write_lists(tmp_path / "lists", train=train, test=listed(NAMES[30:]))
    )
    reasons = [problem.reason for problem in own.check().problems]
    assert "class FEA has test samples, but none to train on" in reasons


@pytest.mark.parametrize("root", [None, "missing", "empty", "silent"])
def test_a_root_that_is_none_is_said(root: str | None, distributed: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "silent" / "AudioWAV").mkdir(parents=True)
    (tmp_path / "silent" / "VideoFlash").symlink_to(distributed / "VideoFlash")
    said = {
        None: "Parameter `data.root` should be the folder of cremad. Found none: add --data.root",
        "missing": f"Found no folder {tmp_path}/missing; `mmpareto data info cremad`",
        "empty": f"{tmp_path}/empty/AudioWAV should be a folder of audio files. Found no such "
        "folder.",
        "silent": f"{tmp_path}/silent should hold samples of cremad. Found none whose files are "
        "all there",
    }
    recipe = CREMAD(root and tmp_path / root)
    with pytest.raises(MMParetoError) as error:
        recipe.load()
    assert said[root] in str(error.value)
    assert not recipe.check().trainable


def test_a_folder_may_be_a_link_to_elsewhere(
    recipe: CREMAD, distributed: Path, tmp_path: Path
) -> None:
    for folder in ("AudioWAV", "VideoFlash"):
        (tmp_path / folder).symlink_to(distributed / folder)
    assert ids(replace(recipe, root=tmp_path).load()) == ids(recipe.load())


@pytest.mark.parametrize(
    "wrong", [{"audio": "mfcc"}, {"frames": 0}, {"size": 0}, {"fps": 0.0}, {"fps": float("nan")}]
)
def test_a_setting_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MMParetoError, match=rf"Parameter `data\.{next(iter(wrong))}` should be"):
        CREMAD(**wrong)


def test_notes_name_the_division_and_the_front_end() -> None:
    assert any("divided by actors" in note for note in CREMAD().notes)
    assert any("front end" in note for note in CREMAD(split="no/such/folder").notes)


def test_a_recipe_reads_its_lists_when_it_is_asked_for_notes_not_when_it_is_made(
    tmp_path: Path,
) -> None:
    made = CREMAD(split=tmp_path / "lists")
    before = made.notes
    write_lists(tmp_path / "lists", train=listed(NAMES[:30]), test=listed(NAMES[30:]))
    assert any("30 train, 6 test clips" in note for note in made.notes)
    assert not any("clips" in note for note in before)
    assert "notes" not in vars(made)
