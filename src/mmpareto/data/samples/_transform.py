"""What becomes of cached items: sample by sample, and batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Transform(ABC):
    """From cached items to what a model takes in."""

    @abstractmethod
    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        """Transforms the item of one sample.

        Args:
            item: Array as it was decoded; not to be written to.
            random: Generator that random changes are drawn from; None makes none.

        Returns:
            A tensor that shares no memory with the item, of one shape for all items.
        """

    def finish(self, batch: Tensor) -> Tensor:
        """Does what is left to do for a batch, in the process that uses it; by default nothing.

        What makes a batch larger belongs here, for what comes before may be sent from a worker.

        Args:
            batch: Transformed items [B, ...].

        Returns:
            Tensor [B, ...].
        """
        return batch


@dataclass(frozen=True, eq=False)
class PendingBatch:
    """A modality of a batch that is not finished yet.

    A worker sends it; what arrives in the other process is the finished tensor.

    Args:
        transform: What finishes the batch.
        tensors: Transformed items of the n samples that have the modality, [n, ...].
        rows: Rows of these samples; a list, for every tensor that is sent costs a connection.
        length: Number of all rows.
    """

    transform: Transform
    tensors: Tensor
    rows: Sequence[int]
    length: int

    def finished(self) -> Tensor:
        """All rows, with zeros where a sample lacks the modality."""
        finished = self.transform.finish(self.tensors)
        if len(self.rows) == self.length:
            return finished
        filled = finished.new_zeros(self.length, *finished.shape[1:])
        return filled.index_copy_(0, torch.tensor(self.rows), finished)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.transform, self.tensors, self.rows, self.length)


def _arrive(*fields: Any) -> Tensor:
    """What a pending batch is unpickled as."""
    return PendingBatch(*fields).finished()
