from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._absolute import make_absolute
from mmpareto.data._recipe import Finding
from mmpareto.data.folders._clips import (
    check_clips,
    clip_readers,
    clip_shapes,
    files_by_name,
    without_files,
)
from mmpareto.data.folders._folder_recipe import FolderRecipe, Reader
from mmpareto.data.folders._lists import (
    ListRow,
    Lists,
    fingerprint,
    listed_numbers,
    read_lists,
    rows_of,
    with_validation,
)
from mmpareto.data.folders._survey import Sample, Survey
from mmpareto.data.media._front_ends import AudioName
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape

_CLASS_NAMES = (
    "blowing nose, blowing out candles, bowling, chopping wood, dribbling basketball, "
    "laughing, mowing lawn, accordion, bagpipes, bass guitar, clarinet, drums, guitar, "
    "harmonica, keyboard, organ, piano, saxophone, trombone, trumpet, violin, xylophone, "
    "ripping paper, shoveling snow, shuffling cards, singing, stomping grapes, tap dancing, "
    "tapping guitar, tapping pen, tickling"
)
_CLASSES = tuple(_CLASS_NAMES.split(", "))
_REPORTED = {"train": 14_799, "test": 2_597}


@dataclass(frozen=True)
class KineticsSounds(FolderRecipe):
    """Kinetics-Sounds: ten-second clips of 31 actions that can be seen and heard.

    Args:
        root: Folder with the clips and the lists. Needed to load.
        audio: The front end: MMPareto's authors' filter bank, OGM-GE's or PMR's spectrogram.
        frames: Number of frames of a sample.
        fps: Frames per second that are decoded; the sample's frames are taken from these.
        size: Height and width of a sample's frames, in pixels.
        split: Folder with lists train.csv, test.csv and, optionally, val.csv, whose rows are
            ``name,seconds,class index``; None for `root`.
        seed: Seed of what is held out for validation where there is no val.csv.
        video_folder: Folder in `root` with the clips, or with a folder of already extracted frames
            for each.
        audio_folder: Folder in `root` with sound files; where a clip has none, its own sound is
            taken.

    Example:
        >>> KineticsSounds(root="kinetics").shapes
        {'audio': (1, 128, 1024), 'video': (3, 3, 224, 224)}
    """

    name = "kinetics-sounds"
    citation = "R. Arandjelovic and A. Zisserman, Look, Listen and Learn, ICCV 2017."
    notes = (
        "Kinetics-Sounds is what YouTube still has of a list of clips, so that numbers of clips "
        "differ between papers.",
        "Without a list val.csv, a ninth of the training clips, of every class alike, is held out "
        "for validation.",
        "Results under other audio front ends are not comparable.",
    )
    layout = (
        "root/video/-0a1b2c3d4e_000010_000020.mp4, ... or a folder of frames, "
        "-0a1b2c3d4e_000010_000020/*.jpg, ...\nroot/audio/-0a1b2c3d4e_000010_000020.wav, ..., for "
        "clips without sound of their own\nroot/train.csv, root/test.csv and, optionally, "
        "root/val.csv, without heading,\na row per clip with name, seconds and class: "
        "-0a1b2c3d4e_000010_000020,10,7"
    )

    root: Path | str | None = None
    audio: AudioName = "fbank"
    frames: int = 3
    fps: float = 1.0
    size: int = 224
    split: Path | str | None = None
    seed: int = 0
    video_folder: str = "video"
    audio_folder: str = "audio"

    def __post_init__(self) -> None:
        check_clips(self)
        make_absolute(self, "root", "split")

    @property
    def shapes(self) -> dict[str, Shape]:
        return clip_shapes(self)

    @property
    def target(self) -> Classes:
        return Classes(_CLASSES)

    def _readers(self) -> dict[str, Reader]:
        return clip_readers(self)

    @property
    def fingerprint(self) -> str:
        folder = self.split or self.root
        return "" if folder is None else fingerprint(Path(folder))

    def _survey(self, root: Path) -> Survey:
        lists = read_lists(Path(self.split or root), ("name", "seconds", "class index"))
        picture = files_by_name(root / self.video_folder, "video")
        sound = {name: path for name, path in picture.items() if path.is_file()}
        if (root / self.audio_folder).is_dir():
            sound |= files_by_name(root / self.audio_folder, "audio")
        labels = {row.name: _label(row) for row in rows_of(lists)}
        names = sorted(labels.keys() & sound.keys() & picture.keys())
        samples = []
        for name in names:
            files = {"audio": sound[name], "video": picture[name]}
            samples.append(Sample(name, labels[name], files))
        parts = listed_numbers(lists, names)
        wanted = {row.name: row.where for row in rows_of(lists)}
        return Survey(
            samples,
            with_validation(parts, names, [sample.label for sample in samples], self.seed),
            missing=without_files(wanted, {"audio": sound, "video": picture}),
            remarks=_difference(lists),
        )


def _difference(lists: Lists) -> list[Finding]:
    """How far the lists are from those of the paper."""
    remarks = []
    for part, size in _REPORTED.items():
        count = len(lists[part])
        if count != size:
            remarks.append(Finding(f"{part}.csv", f"{count:,} clips; the paper has {size:,}"))
    return remarks


def _label(row: ListRow) -> int:
    """The class that a row names."""
    _, seconds, label = row.cells
    if not label.isascii() or not label.isdigit() or int(label) >= len(_CLASSES):
        raise MMParetoError(
            f"{row.where} should end with a class from 0 to {len(_CLASSES) - 1}. Found {label!r}."
        )
    if not seconds.replace(".", "", 1).isdigit():
        raise MMParetoError(
            f"{row.where} should have a number of seconds in its middle. Found {seconds!r}."
        )
    return int(label)
