"""What a data set offers to the rest of the library."""

# No postponed annotations: jsonargparse evaluates those of a base class in the module of the
# derived one.

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, overload

from torch import Tensor
from torch.utils.data import Dataset

from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape, Target

Batch = dict[str, Any]
"""``{"inputs": {modality: Tensor [B, ...]}, "label": Tensor [B, ...], "id": Tensor [B] or B names}``.

Where some of the samples lack a modality there is ``"rows": {modality: int64 Tensor [n]}``, which
rows of its inputs are there (the others are zeros). What the whole batch lacks is in neither. One
sample has no B and no rows.
"""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and how many there are."""


@dataclass(frozen=True)
class EpochIndices(Sequence[int]):
    """The samples of one training batch, with what makes the random changes to them repeatable.

    A slice keeps the seed and the epoch.

    Args:
        indices: Numbers of the samples.
        seed: Seed of the training.
        epoch: Number of the epoch, from 0. A sample's change depends on the seed, the epoch and the
            sample alone.

    Example:
        >>> EpochIndices([3, 1, 4], seed=0, epoch=2)[:2]
        EpochIndices(indices=[3, 1], seed=0, epoch=2)
    """

    indices: Sequence[int]
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> "EpochIndices": ...

    def __getitem__(self, index: int | slice) -> "int | EpochIndices":
        if isinstance(index, slice):
            return replace(self, indices=self.indices[index])
        return self.indices[index]


class MultimodalDataset(Dataset[Batch], ABC):
    """A map-style data set that is indexed by the number of one sample, or by those of a batch."""

    @abstractmethod
    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        """The sample, or the batch of samples, at `index`.

        A data set that augments samples does so for `EpochIndices` alone.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set.

    Selection (of an epoch, a method, a setting) reads `val`; `test` is read once, at the end.
    """

    train: MultimodalDataset
    val: MultimodalDataset
    test: MultimodalDataset


@dataclass(frozen=True)
class Finding:
    """Something wrong with the data.

    Args:
        where: File, or file and row.
        reason: What is wrong there, in one line.
        fatal: Whether nothing can be trained as long as it is so; else what is found is left out,
            or to be known.
    """

    where: str
    reason: str
    fatal: bool = False


@dataclass(frozen=True)
class Findings:
    """What a check of the data found.

    Args:
        facts: What there is, as pairs of a name and a text.
        problems: What is wrong.
    """

    facts: Sequence[tuple[str, str]]
    problems: Sequence[Finding] = field(default=())

    @property
    def trainable(self) -> bool:
        """Whether a model can be trained on the data."""
        return not any(problem.fatal for problem in self.problems)


class DatasetRecipe(ABC):
    """How to load one data set.

    Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the data set.
        citation: Where the data come from.
        layout: Which files are expected where, for those who have to put them there.
    """

    name: ClassVar[str]
    citation: ClassVar[str]
    layout: ClassVar[str] = "Nothing: the data come with a library."

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know; printed in every report."""
        return ()

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """For each modality the shape of one sample."""

    @property
    @abstractmethod
    def target(self) -> Target:
        """What is predicted."""

    @property
    def fingerprint(self) -> str:
        """Of the files that users edit, such as tables; results under another one are of other data."""
        return ""

    @abstractmethod
    def load(self) -> Splits:
        """Reads the data, decoding first what has not been decoded yet.

        Returns:
            Its three parts, the same at every call.

        Raises:
            MMParetoError: If files are missing or are not what they should be.
        """

    # Not abstract: most data sets have nothing to prepare.
    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:  # noqa: B027
        """Decodes what has not been decoded yet, for data sets that keep a cache; by itself there is nothing to do.

        Args:
            workers: Processes that decode; 0 decodes in this one.
            progress: Told how far it is.

        Raises:
            MMParetoError: If files are missing.
        """

    def check(self) -> Findings:
        """Looks for what is wrong with the data, without training.

        Returns:
            What there is, and what is wrong; by itself what `load` says.
        """
        try:
            splits = self.load()
        except MMParetoError as error:
            return Findings((), (Finding(self.name, str(error), fatal=True),))
        sizes = [
            (part, f"{len(getattr(splits, part)):,} samples") for part in ("train", "val", "test")
        ]
        classes = (
            [("classes", ", ".join(self.target.names))] if isinstance(self.target, Classes) else []
        )
        return Findings(
            [*sizes, *classes, *((name, str(shape)) for name, shape in self.shapes.items())]
        )
