"""What a data set offers to the rest of the library."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from mmpareto.data._dataset import Splits as Splits
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape, Target

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with the data.

    Args:
        where: File, or file and row.
        reason: What is wrong there, in one line.
        fatal: Whether nothing can be trained as long as it is so; if not, a sample is left out, or
            a reader of results should know.
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
        """A checksum of the files that users edit, such as tables.

        Results under another one are of other data.
        """
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
        """Decodes what has not been decoded yet, for data sets that keep a cache.

        Args:
            workers: Number of processes that decode; 0 decodes in this one.
            progress: Told how far it is.

        Raises:
            MMParetoError: If files are missing.
        """

    def check(self) -> Findings:
        """Looks for what is wrong with the data, without training.

        Returns:
            What there is, and what is wrong; by default what `load` says.
        """
        try:
            splits = self.load()
        except MMParetoError as error:
            return Findings((), (Finding(self.name, str(error), fatal=True),))
        facts = [(part, f"{len(dataset):,} samples") for part, dataset in vars(splits).items()]
        if isinstance(self.target, Classes):
            facts.append(("classes", ", ".join(self.target.names)))
        for name, shape in self.shapes.items():
            facts.append((name, str(shape)))
        return Findings(facts)
