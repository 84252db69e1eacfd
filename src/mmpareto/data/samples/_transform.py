"""What becomes of cached items: sample by sample, and batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        """Does what is left to do for a batch, on the device that uses it; by default nothing.

        What makes a batch larger belongs here, for what comes before is sent: from a worker, and to
        a device.

        Args:
            batch: Transformed items [B, ...].

        Returns:
            Tensor [B, ...] on that device.
        """
        return batch


@dataclass(frozen=True, eq=False)
class PendingBatch:
    """A modality of a batch that is not finished yet: what is sent of it.

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

    def to(self, device: torch.device, *, non_blocking: bool = False) -> PendingBatch:
        """The pending batch on a device, as `torch.Tensor.to` does it."""
        return replace(self, tensors=self.tensors.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PendingBatch:
        """The pending batch in pinned memory; torch's loaders call it."""
        return replace(self, tensors=self.tensors.pin_memory())

    def finished(self) -> Tensor:
        """All rows, with zeros where a sample lacks the modality."""
        finished = self.transform.finish(self.tensors)
        if len(self.rows) == self.length:
            return finished
        filled = finished.new_zeros(self.length, *finished.shape[1:])
        rows = torch.tensor(self.rows).to(finished.device, non_blocking=finished.is_cuda)
        return filled.index_copy_(0, rows, finished)


@dataclass(frozen=True, eq=False)
class FinishedOnArrival:
    """A pending batch that a worker sends; what arrives in the other process is a tensor.

    Args:
        pending: The batch.
    """

    pending: PendingBatch

    def __reduce__(self) -> tuple[Any, ...]:
        return PendingBatch.finished, (self.pending,)
