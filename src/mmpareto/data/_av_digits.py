from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

import torch

from mmpareto.data._absolute import make_absolute
from mmpareto.data._dataset import Splits
from mmpareto.data._recipe import DatasetRecipe, Finding, Findings, Progress
from mmpareto.data.digits._coloured import DIGITS, Digits
from mmpareto.data.digits._fsdd import COUNT, Recording, read_recordings
from mmpareto.data.digits._mnist import LAYOUT, SIZES, read_mnist
from mmpareto.data.digits._spoken import paired
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape

_VAL_PAIRS, _TEST_PAIRS = 1_000, 2_000
_MOST_TRAINING_PAIRS = 40_000
"""So many pairs that no image is needed twice."""

_VAL_IMAGES = 5_000
_TEST_SPEAKERS = ("theo", "yweweler")


@dataclass(frozen=True)
class AVDigits(DatasetRecipe):
    """Spoken and handwritten digits: Free Spoken Digit recordings and noisy MNIST images, paired.

    A pair is of one digit. Pairs are drawn by a fixed seed: each recording of a part is used as
    often as the others or once more, each image at most once, and no recording and no image is in
    two parts. Validation images are 5,000 of MNIST's training part, test images those of its test
    part. There are 1,000 validation and 2,000 test pairs.

    Args:
        root: A folder with MNIST, as ``mnist.npz`` or its four official files, and with
            ``fsdd.zip`` or the folder ``recordings`` that is in it. Needed to load.
        noise: Standard deviation of the Gaussian noise on the normalized images, drawn once for
            each image.
        split: Which recordings are for what. ``speaker``: all of the speakers theo and yweweler
            test; of the other four, numbers 0 to 4 of each digit validate. ``official``: numbers 0
            to 4 of each speaker and digit test, as the data set's authors have it; 5 to 9 validate.
        pairs: Number of training pairs, at most 40,000.

    Example:
        >>> AVDigits(root="data").shapes
        {'audio': (1, 64, 64), 'image': (1, 28, 28)}
    """

    name = "av-digits"
    citation = (
        "Z. Jackson et al., Free Spoken Digit Dataset, 2018; Y. LeCun, L. Bottou, Y. Bengio and P. "
        "Haffner, Gradient-based learning applied to document recognition, Proceedings of the "
        "IEEE, 1998."
    )
    notes = (
        "av-digits pairs a recording with an image of the same digit: neither was made for the "
        "other. In the split by speaker, validation has other recordings of the training part's "
        "speakers, test has speakers never heard: validation accuracy selects epochs without "
        "knowledge of those, and does not foretell test accuracy.",
    )
    layout = (
        "In root: fsdd.zip, or its folder recordings with {digit}_{speaker}_{number}.wav; and "
        f"{LAYOUT}"
    )

    root: Path | str | None = None
    noise: float = 1.5
    split: Literal["speaker", "official"] = "speaker"
    pairs: int = 4_000

    def __post_init__(self) -> None:
        if not 0 <= self.noise < inf:
            raise MMParetoError(
                f"Parameter `noise` should be finite and not negative. Found {self.noise!r}."
            )
        if self.split not in ("speaker", "official"):
            raise MMParetoError(
                f"Parameter `split` should be speaker or official. Found {self.split!r}."
            )
        if not 1 <= self.pairs <= _MOST_TRAINING_PAIRS:
            raise MMParetoError(
                f"Parameter `pairs` should be from 1 to {_MOST_TRAINING_PAIRS}. Found "
                f"{self.pairs!r}."
            )
        make_absolute(self, "root")

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"audio": (1, 64, 64), "image": (1, 28, 28)}

    @property
    def target(self) -> Classes:
        return Classes(DIGITS)

    def load(self) -> Splits:
        recordings, problems = read_recordings(self._folder())
        if problems:
            first = f"{problems[0].where}: {problems[0].reason}"
            warnings.warn(
                f"{len(problems)} recordings are left out, the first of them {first}. `mmpareto "
                "data check` lists all.",
                stacklevel=2,
            )
        return self._splits(recordings)

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        self.load()

    def check(self) -> Findings:
        facts: list[tuple[str, str]] = []
        problems: list[Finding] = []
        try:
            recordings, problems = read_recordings(self._folder())
            spoken = Counter(recording.speaker for recording in recordings)
            speakers = ", ".join(f"{name} {count}" for name, count in sorted(spoken.items()))
            facts.append(("recordings", f"{len(recordings):,} of {COUNT:,}"))
            facts.append(("speakers", speakers))
            for part, dataset in vars(self._splits(recordings)).items():
                size = f"{len(dataset):,} pairs of {len(dataset.recordings):,} recordings"
                facts.append((part, size))
        except MMParetoError as error:
            problems = [*problems, Finding(self.name, str(error), fatal=True)]
        return Findings(facts, problems)

    def _folder(self) -> Path:
        if self.root is None:
            raise MMParetoError(
                "Parameter `data.root` should be a folder with recordings and MNIST. Found none: "
                "add --data.root."
            )
        return Path(self.root)

    def _splits(self, recordings: Sequence[Recording]) -> Splits:
        mnist = read_mnist(self._folder())
        order = torch.randperm(SIZES["train"], generator=torch.Generator().manual_seed(0))
        val, train = order.tensor_split([_VAL_IMAGES])
        images = {"train": train, "val": val, "test": torch.arange(SIZES["test"])}
        pairs = {"train": self.pairs, "val": _VAL_PAIRS, "test": _TEST_PAIRS}
        datasets = {}
        for seed, (part, index) in enumerate(images.items()):
            all_images, all_labels = mnist["test" if part == "test" else "train"]
            try:
                datasets[part] = paired(
                    [recording for recording in recordings if self._part(recording) == part],
                    Digits(all_images[index], all_labels[index]),
                    index + SIZES["train"] if part == "test" else index,
                    pairs=pairs[part],
                    noise=self.noise,
                    seed=seed,
                )
            except MMParetoError as error:
                raise MMParetoError(
                    f"The {part} part of av-digits cannot be made. {error}"
                ) from error
        return Splits(**datasets)

    def _part(self, recording: Recording) -> str:
        """The part that a recording belongs to."""
        if self.split == "official":
            return "test" if recording.number < 5 else "val" if recording.number < 10 else "train"
        if recording.speaker in _TEST_SPEAKERS:
            return "test"
        return "val" if recording.number < 5 else "train"
