"""Links out of a data set are not followed: samples with them are named, the rest is unharmed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from media import shades, tone, write_audio, write_frames, write_image, write_video

from mmpareto.data import CREMAD, KineticsSounds, ModelNet40, Splits
from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._video import VideoDecoder
from mmpareto.errors import MMParetoError

CREMA = tuple(
    f"{actor}_DFA_{emotion}_XX" for actor in range(1001, 1007) for emotion in ("NEU", "ANG")
)
CLIPS = tuple(f"clip{number:02d}" for number in range(12))


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPARETO_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture
def cremad(tmp_path: Path) -> CREMAD:
    root = tmp_path / "CREMA-D"
    for name in CREMA:
        write_audio(root / "AudioWAV" / f"{name}.wav", tone(seconds=0.2))
        write_video(root / "VideoFlash" / f"{name}.flv", shades(2, 24, 32), fps=2)
    return CREMAD(root, size=16)


@pytest.fixture
def kinetics(tmp_path: Path) -> KineticsSounds:
    root = tmp_path / "kinetics"
    for name in CLIPS:
        write_audio(root / "audio" / f"{name}.wav", tone(seconds=0.2))
        write_frames(root / "video" / name, shades(2, 24, 32))
    for part, names in (("train", CLIPS[:8]), ("val", CLIPS[8:10]), ("test", CLIPS[10:])):
        (root / f"{part}.csv").write_text("".join(f"{name},10,7\n" for name in names))
    return KineticsSounds(root, size=16)


def ids(splits: Splits) -> dict[str, list[str]]:
    return {part: list(getattr(splits, part)[:]["id"]) for part in ("train", "val", "test")}


def without(parts: dict[str, list[str]], *left_out: str) -> dict[str, list[str]]:
    return {part: [name for name in names if name not in left_out] for part, names in parts.items()}


def moved_out(path: Path, elsewhere: Path) -> Path:
    """Puts a link to the same content elsewhere in the place of a file or folder."""
    elsewhere.mkdir(exist_ok=True)
    path.symlink_to(shutil.move(path, elsewhere / path.name))
    return path


def test_clips_that_are_links_out_of_the_root_are_left_out_and_named(
    cremad: CREMAD, tmp_path: Path
) -> None:
    before, root = ids(cremad.load()), Path(cremad.root)
    video = moved_out(root / "VideoFlash" / f"{CREMA[2]}.flv", tmp_path / "elsewhere")
    audio = root / "AudioWAV" / f"{CREMA[5]}.wav"
    audio.unlink()
    audio.symlink_to("/etc/hostname")
    circle = root / "VideoFlash" / f"{CREMA[8]}.flv"
    circle.unlink()
    circle.symlink_to(circle.name)
    with pytest.warns(UserWarning, match="cremad: 3 of 12 samples are left out"):
        assert ids(cremad.load()) == without(before, CREMA[2], CREMA[5], CREMA[8])
    problems = {problem.where: problem.reason for problem in cremad.check().problems}
    assert set(problems) == {str(root), str(video), str(audio), str(circle)}
    assert problems[str(video)] == (
        f"leads out of the data set: Files should be in {root}. Found {video}, which is "
        f"{tmp_path}/elsewhere/{CREMA[2]}.flv. Put the file itself there."
    )


def test_links_within_the_data_set_are_followed(cremad: CREMAD, tmp_path: Path) -> None:
    before, root = ids(cremad.load()), Path(cremad.root)
    moved_out(root / "VideoFlash" / f"{CREMA[2]}.flv", root / "store")
    assert ids(cremad.load()) == before
    folder = moved_out(root / "AudioWAV", tmp_path / "disk")  # the user's own, for want of room
    (folder / f"{CREMA[3]}.wav").rename(folder / "other.wav")
    (folder / f"{CREMA[3]}.wav").symlink_to("other.wav")
    assert ids(cremad.load()) == before


def test_frames_and_sounds_that_are_links_out_are_left_out_and_named(
    kinetics: KineticsSounds, tmp_path: Path
) -> None:
    before, root = ids(kinetics.load()), Path(kinetics.root)
    folder = moved_out(root / "video" / CLIPS[1], tmp_path / "elsewhere")
    sound = moved_out(root / "audio" / f"{CLIPS[2]}.wav", tmp_path / "elsewhere")
    frame = moved_out(root / "video" / CLIPS[3] / "2.jpg", tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="kinetics-sounds: 3 of 12 samples are left out"):
        assert ids(kinetics.load()) == without(before, *CLIPS[1:4])
    problems = {problem.where: problem.reason for problem in kinetics.check().problems}
    assert {str(folder), str(sound), str(frame.parent)} <= set(problems)
    assert problems[str(frame.parent)].startswith(
        "2.jpg in it is a link that leads out of the folder of all videos"
    )


def test_where_nothing_is_left_the_first_link_is_named(tmp_path: Path) -> None:
    view = tmp_path / "root" / "airplane" / "train" / "airplane_0001_1.png"
    for number in (1, 2):
        write_image(view.with_name(f"airplane_0001_{number}.png"))
    moved_out(view, tmp_path / "elsewhere")
    with pytest.raises(
        MMParetoError, match=rf"Found none .* The first: {view}: leads out of the data set"
    ):
        ModelNet40(tmp_path / "root", views=(0, 1)).load()


def test_a_frame_may_be_a_link_to_a_frame_of_another_video_and_no_further(tmp_path: Path) -> None:
    secret = write_image(tmp_path / "secret.png")
    folder = write_frames(tmp_path / "clips" / "c2")
    write_frames(tmp_path / "clips" / "c1")
    (folder / "4.jpg").symlink_to("../c1/1.jpg")
    (folder / "5.jpg").symlink_to("4.jpg")
    decoder = VideoDecoder(1.0, 48)
    assert len(decoder(folder)) == 5
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    assert len(decoder(linked)) == 5
    for target in (secret, "../../secret.png", "9.png", "/proc/self/exe"):
        (folder / "9.png").symlink_to(target)
        with pytest.raises(
            Unreadable, match=r"^9\.png in it (is a link that leads out|cannot be opened)"
        ) as raised:
            decoder(folder)
        assert "secret" not in str(raised.value)
        (folder / "9.png").unlink()
