# No postponed annotations: jsonargparse evaluates those of a recipe's fields.

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from mmpareto._files import digest
from mmpareto.data._recipe import DatasetRecipe, Findings, Progress, Splits
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._decoded import decode
from mmpareto.data.tables._inputs import Input
from mmpareto.data.tables._labels import make_target
from mmpareto.data.tables._make_input import make_input
from mmpareto.data.tables._manifest_check import check
from mmpareto.data.tables._review import read_contents
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape, Target


@dataclass(frozen=True)
class Manifest(DatasetRecipe):
    """The user's own data: a CSV or Parquet file with a row per sample and a column per modality.

    Args:
        path: The file. Needed.
        label: Column of what is predicted.
        id: Column of the samples' names.
        split: Column of the samples' parts: train, val or test.
        fractions: Shares of training, validation and test, if they are to be drawn at random
            instead of read from the split column; None draws (0.7, 0.1, 0.2) where there is no such
            column.
        seed: Of that draw.
        group: Column of what must not be divided by it, such as a speaker.
        types: Types of columns that are guessed wrong: image, audio, video, array, text, number,
            category, ignore.
        tables: Names of tables with their columns of numbers and categories; None for one called
            table with all.
        task: Whether a class, several labels or a number is predicted; auto to guess.
        root: Folder that holds all files, where relative paths begin; None for that of the
            manifest.
        image_size: Height and width of a sample's images and frames.
        frames: Number of frames of a sample.
        fps: Frames per second that are decoded, to take the sample's from.
        rate: Samples per second of recordings.
        seconds: Of a recording; what is longer is cut, what is shorter filled up.
        text_length: Number of tokens of a text; what is longer is cut.
        tokenizer: Folder or name of a Hugging Face tokenizer; None for hashed trigrams of
            characters.

    Example:
        >>> Manifest("my.csv", label="mood", types={"year": "category"}).seed
        0
    """

    name = "manifest"
    citation = "The user's own data."
    notes = (
        "What `mmpareto data check` says of the data, left out samples above all, goes for every "
        "number here.",
    )
    layout = (
        "my.csv or my.parquet, a row per sample: id, label, split (train, val or test), and a "
        "column per modality:\npath of an image, a recording, a video or an .npy array, from the "
        "folder of my.csv on; or text. Columns of\nnumbers and categories make one table. An empty "
        "cell is a missing modality."
    )

    path: Path | str | None = None
    label: str = "label"
    id: str = "id"
    split: str = "split"
    fractions: tuple[float, float, float] | None = None
    seed: int = 0
    group: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[str]] | None = None
    task: Literal["auto", "class", "labels", "number"] = "auto"
    root: Path | str | None = None
    image_size: int = 64
    frames: int = 4
    fps: float = 2.0
    rate: int = 16_000
    seconds: float = 3.0
    text_length: int = 128
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        for name in ("path", "root"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(
                    self, name, Path(value).absolute()
                )  # a run's folder outlives the working one
        if self.tokenizer is not None and Path(self.tokenizer).is_dir():
            object.__setattr__(self, "tokenizer", str(Path(self.tokenizer).absolute()))
        for name in ("image_size", "frames", "fps", "rate", "seconds", "text_length"):
            if not 0 < (value := getattr(self, name)) < float("inf"):
                raise MMParetoError(
                    f"Parameter `data.{name}` should be finite and positive. Found {value!r}."
                )
        shares = self.fractions
        if shares is not None and not (min(shares) > 0 and abs(sum(shares) - 1) < 1e-6):
            raise MMParetoError(
                f"Parameter `data.fractions` should be positive and add up to 1. Found {shares!r}."
            )
        if self.task not in ("auto", "class", "labels", "number"):
            raise MMParetoError(
                "Parameter `data.task` should be auto, class, labels or number. Found "
                f"{self.task!r}."
            )

    @cached_property  # as the contents, which it is to go with
    def fingerprint(self) -> str:
        return digest([Path(self.path)] if self.path else [])

    @cached_property
    def contents(self) -> Contents:
        """What the file says, and what is wrong with it."""
        if self.path is None:
            raise MMParetoError(
                "Parameter `data.path` should be a CSV or Parquet file. Found none: add "
                "--data.path."
            )
        return read_contents(self, Path(self.path))

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """How each modality's cells are read, with the statistics of the training part."""
        fatal = [problem.reason for problem in self.contents.problems if problem.fatal]
        if fatal:
            found = f"{'; '.join(fatal)}. `mmpareto data check {self.path}` lists everything"
            raise MMParetoError(
                f"{self.path} should be data that can be trained on. Found: {found}."
            )
        return {name: make_input(self, name) for name in self.contents.modalities}

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: item.shape for name, item in self.inputs.items()}

    @property
    def target(self) -> Target:
        contents = self.contents
        return make_target(
            contents.task.kind,
            self.label,
            [contents.labels[place] for place in contents.of("train")],
        )

    def load(self) -> Splits:
        decoded, total = decode(self), self.contents.table.total
        if decoded.lost:
            raise MMParetoError(
                f"{self.path} should name files that can be read. Found that "
                f"{'; '.join(decoded.lost)}: `mmpareto data check {self.path}` says what is wrong "
                "with each."
            )
        if out := total - sum(map(len, decoded.datasets.values())):
            warnings.warn(
                f"{out:,} of {total:,} rows of {self.path} are left out: `mmpareto data check "
                f"{self.path}` lists them.",
                stacklevel=2,
            )
        return Splits(**decoded.datasets)

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        decode(self, workers, progress)

    def check(self) -> Findings:
        return check(self)
