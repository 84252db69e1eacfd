"""How a table of the user's own is to be read."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmpareto.errors import MMParetoError

TASKS = ("auto", "class", "labels", "number")

MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    *("-", "?"),
)
"""What stands for a missing cell beside an empty one: pandas' list, and what people write."""

FRACTIONS = (0.7, 0.1, 0.2)
"""Shares of training, validation and test where neither the file nor the user states any."""

_POSITIVE = ("image_size", "frames", "fps", "rate", "seconds", "text_length")


@dataclass(frozen=True)
class TableSettings:
    """How a table of the user's own is to be read.

    Args:
        path: The table, a CSV or Parquet file. Needed.
        label: Column of what is predicted.
        id: Column of the samples' names; where there is none called id, they have the rows'
            numbers.
        split: Column of the samples' parts: train, val or test.
        fractions: Shares of training, validation and test, if they are to be drawn at random
            instead of read from the split column; None draws (0.7, 0.1, 0.2) where there is no such
            column.
        seed: Seed of the draw.
        group: Column of what must not be divided by the draw, such as a speaker.
        types: Types of columns that are guessed wrong: image, audio, video, array, text, number,
            category, ignore.
        tables: Names of tables with their columns of numbers and categories; None for one called
            table with all.
        sounds: Names of modalities with the column of videos whose sound they are.
        task: Whether a class, several labels or a number is predicted; auto to guess.
        separator: What divides several labels in a cell; None for a semicolon or a vertical bar.
        missing: Words that stand for an empty cell; None for those that pandas takes for one, such
            as NA and null, and for - and ?.
        root: Folder that holds all files, where relative paths begin; None for that of the table.
        image_size: Height and width of a sample's images and frames.
        levels: Gray levels that become black and white in images of more than 8 bits; None for
            those that the training part's images keep within.
        frames: Number of frames of a sample.
        fps: Frames per second that are decoded, to take the sample's from.
        rate: Samples per second of recordings.
        seconds: Length of a recording; what is longer is cut, what is shorter filled up.
        text_length: Number of tokens of a text; what is longer is cut.
        tokenizer: Folder or name of a Hugging Face tokenizer; None for hashed trigrams of
            characters.
        standardise: Whether each number of an array loses the training part's mean and is divided
            by its standard deviation, as the numbers of a table are.

    Raises:
        MMParetoError: If a setting is out of range.
    """

    path: Path | str | None = None
    label: str = "label"
    id: str = "id"
    split: str = "split"
    fractions: tuple[float, float, float] | None = None
    seed: int = 0
    group: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[str]] | None = None
    sounds: dict[str, str] = field(default_factory=dict)
    task: Literal["auto", "class", "labels", "number"] = "auto"
    separator: str | None = None
    missing: list[str] | None = None
    root: Path | str | None = None
    image_size: int = 64
    levels: tuple[float, float] | None = None
    frames: int = 4
    fps: float = 2.0
    rate: int = 16_000
    seconds: float = 3.0
    text_length: int = 128
    tokenizer: str | None = None
    standardise: bool = True

    def __post_init__(self) -> None:
        self._make_absolute()
        for name in _POSITIVE:
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise MMParetoError(
                    f"Parameter `data.{name}` should be finite and positive. Found {value!r}."
                )
        shares = self.fractions
        if shares is not None and not (min(shares) > 0 and abs(sum(shares) - 1) < 1e-6):
            raise MMParetoError(
                f"Parameter `data.fractions` should be positive and add up to 1. Found {shares!r}."
            )
        if self.levels is not None and not self.levels[0] < self.levels[1]:
            raise MMParetoError(
                "Parameter `data.levels` should be a lower and a higher number. Found "
                f"{self.levels!r}."
            )
        if self.separator == "":
            raise MMParetoError("Parameter `data.separator` should be a sign. Found none.")
        if self.task not in TASKS:
            raise MMParetoError(
                f"Parameter `data.task` should be {', '.join(TASKS[:-1])} or {TASKS[-1]}. "
                f"Found {self.task!r}."
            )

    def _make_absolute(self) -> None:
        """Paths from the working folder on, for a run's folder outlives it."""
        for name in ("path", "root"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value).absolute())
        if self.tokenizer is not None and Path(self.tokenizer).is_dir():
            object.__setattr__(self, "tokenizer", str(Path(self.tokenizer).absolute()))
