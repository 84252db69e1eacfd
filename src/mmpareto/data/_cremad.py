from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._absolute import make_absolute
from mmpareto.data._cremad_division import (
    CLIP,
    EMOTIONS,
    actor_of,
    divide,
    division_notes,
    label_of,
    read_division,
    shared_actors,
)
from mmpareto.data._recipe import Finding
from mmpareto.data.folders._clips import (
    check_clips,
    clip_readers,
    clip_shapes,
    files_by_name,
    without_files,
)
from mmpareto.data.folders._folder_recipe import FolderRecipe, Reader
from mmpareto.data.folders._lists import fingerprint, rows_of
from mmpareto.data.folders._survey import Sample, Survey
from mmpareto.data.media._front_ends import AudioName
from mmpareto.specs import Classes, Shape


@dataclass(frozen=True)
class CREMAD(FolderRecipe):
    """CREMA-D: 7,442 clips of 91 actors who speak twelve sentences with six emotions.

    Args:
        root: Folder with ``AudioWAV`` and ``VideoFlash`` as distributed. Needed to load.
        audio: The front end: MMPareto's authors' filter bank, OGM-GE's or PMR's spectrogram.
        frames: Number of frames of a sample.
        fps: Frames per second that are decoded; the sample's frames are taken from these.
        size: Height and width of a sample's frames, in pixels.
        split: Folder with lists train.csv, test.csv and, optionally, val.csv, whose rows are
            ``clip id,emotion``; None to divide by actors.
        seed: Seed of the division by actors, or of what is held out for validation where there is
            no val.csv.
        video_folder: Folder in `root` with the clips, or with a folder of already extracted frames
            for each.

    Example:
        >>> CREMAD(root="CREMA-D", audio="pmr").shapes
        {'audio': (1, 257, 1004), 'video': (3, 2, 224, 224)}
    """

    name = "cremad"
    citation = (
        "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R. Verma, CREMA-D: "
        "Crowd-sourced Emotional Multimodal Actors Dataset, IEEE Transactions on Affective "
        "Computing, 2014."
    )
    layout = (
        "root/AudioWAV/1001_DFA_ANG_XX.wav, ...\n"
        "root/VideoFlash/1001_DFA_ANG_XX.flv, ... or, with --data.video_folder Image-01-FPS,\n"
        "root/Image-01-FPS/1001_DFA_ANG_XX/*.jpg, ...\n"
        "With --data.split FOLDER: FOLDER/train.csv, FOLDER/test.csv and, optionally, "
        "FOLDER/val.csv,\nwithout heading, a row per clip: 1001_DFA_ANG_XX,ANG"
    )

    root: Path | str | None = None
    audio: AudioName = "fbank"
    frames: int = 2
    fps: float = 1.0
    size: int = 224
    split: Path | str | None = None
    seed: int = 0
    video_folder: str = "VideoFlash"

    def __post_init__(self) -> None:
        check_clips(self)
        make_absolute(self, "root", "split")

    @property
    def notes(self) -> tuple[str, ...]:
        return (*division_notes(self.split), _COMPARABLE)

    @property
    def shapes(self) -> dict[str, Shape]:
        return clip_shapes(self)

    @property
    def target(self) -> Classes:
        return Classes(EMOTIONS)

    def _readers(self) -> dict[str, Reader]:
        return clip_readers(self)

    @property
    def fingerprint(self) -> str:
        return "" if self.split is None else fingerprint(Path(self.split))

    def _survey(self, root: Path) -> Survey:
        lists = read_division(self.split)
        files = {
            "audio": files_by_name(root / "AudioWAV", "audio"),
            "video": files_by_name(root / self.video_folder, "video"),
        }
        present = sorted(files["audio"] | files["video"])
        clips = [name for name in present if CLIP.fullmatch(name)]
        complete = sorted(files["audio"].keys() & files["video"].keys() & set(clips))
        samples = []
        for name in complete:
            clip_files = {modality: by_name[name] for modality, by_name in files.items()}
            samples.append(Sample(name, label_of(name), clip_files))
        listed = {row.name: row.where for row in rows_of(lists)}
        remarks = _difference(root, clips)
        for name in present:
            if not CLIP.fullmatch(name):
                remarks.append(Finding(name, _STRANGE))
        return Survey(
            samples,
            divide(complete, lists, self.seed),
            missing=without_files(listed or dict(zip(clips, clips, strict=True)), files),
            remarks=remarks,
            warning=shared_actors(lists),
        )


_STRANGE = "no clip of CREMA-D is called so: passed over"
_COMPARABLE = (
    "Results under another audio front end, or on another division of cremad, are not comparable."
)


def _difference(root: Path, clips: Sequence[str]) -> list[Finding]:
    """How far the clips are from those published."""
    actors = len({actor_of(name) for name in clips})
    if (len(clips), actors) == (7_442, 91):
        return []
    reason = f"{len(clips):,} clips of {actors} actors; as published there are 7,442 of 91"
    return [Finding(str(root), reason)]
