"""What samples, batches and the parts of a data set are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from torch import Tensor
from torch.utils.data import Dataset

Batch = dict[str, Any]
"""B samples: ``{"inputs": {modality: Tensor [B, ...]}, "label": Tensor [B, ...], "id": ...}``.

Ids are a tensor [B] or B names. Where some of the samples lack a modality there is ``"rows":
{modality: int64 Tensor [n]}``, the rows of its inputs that are not missing; the others are zeros. A
modality that all samples lack is in neither. One sample has no B and no rows.
"""


@dataclass(frozen=True)
class EpochIndices(Sequence[int]):
    """The samples of one training batch, with what makes the random changes to them repeatable.

    A slice keeps the seed and the epoch.

    Args:
        indices: Numbers of the samples.
        seed: Seed of the training.
        epoch: Number of the epoch, from 0. A sample's change depends on the seed, the epoch and the
            sample alone.
        modalities: The modalities that are changed; None for all.

    Example:
        >>> EpochIndices([3, 1, 4], seed=0, epoch=2)[:2]
        EpochIndices(indices=[3, 1], seed=0, epoch=2, modalities=None)
    """

    indices: Sequence[int]
    seed: int = 0
    epoch: int = 0
    modalities: Collection[str] | None = None

    def changes(self, modality: str) -> bool:
        """Whether samples of a modality are changed."""
        return self.modalities is None or modality in self.modalities

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> EpochIndices: ...

    def __getitem__(self, index: int | slice) -> int | EpochIndices:
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

    def all_labels(self) -> Tensor:
        """The labels of all samples, [N, ...]."""
        labels: Tensor = self[list(range(len(self)))]["label"]
        return labels

    def pending(self, indices: Sequence[int]) -> Batch:
        """The batch of samples at `indices`, for loaders.

        Inputs may be a `PendingBatch`, which is smaller, and is finished where a model computes.
        """
        return self[indices]


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set.

    Selection (of an epoch, a method, a setting) reads `val`; `test` is read once, at the end.
    """

    train: MultimodalDataset
    val: MultimodalDataset
    test: MultimodalDataset
