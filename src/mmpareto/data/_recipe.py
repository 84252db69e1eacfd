"""What a data set offers to the rest of the library."""

# No postponed annotations: jsonargparse evaluates those of a base class in the module of the derived one.

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.utils.data import Dataset

Batch = dict[str, Any]
"""``{"inputs": {modality: Tensor [B, ...]}, "label": Tensor [B], "id": Tensor [B]}``; one sample has no B."""


class MultimodalDataset(Dataset[Batch], ABC):
    """A map-style data set that can be indexed by one sample's number or by a whole batch of them."""

    @abstractmethod
    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        """The sample, or the batch of samples, at `index`."""

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


class DatasetRecipe(ABC):
    """How to load one data set. Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the data set.
        citation: Where the data come from.
        notes: What a reader of results must know; printed in every report.
    """

    name: ClassVar[str]
    citation: ClassVar[str]
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """For each modality the shape of one sample."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""

    @abstractmethod
    def load(self) -> Splits:
        """Reads the data.

        Returns:
            Its three parts, the same at every call.

        Raises:
            MMParetoError: If files are missing or are not what they should be.
        """
