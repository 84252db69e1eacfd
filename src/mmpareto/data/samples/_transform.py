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
    """From cached items to what a model takes in: sample by sample, and what is left to do for the batch."""

    @abstractmethod
    def __call__(self, item: np.ndarray, random: np.random.Generator | None) -> Tensor:
        """Transforms the item of one sample.

        Args:
            item: As decoded; not to be written to.
            random: What random changes are drawn from; None makes none.

        Returns:
            A tensor of its own, of the same shape for all items.
        """

    def finish(self, batch: Tensor) -> Tensor:
        """Does the rest, in the process that uses the batch; by itself there is none.

        What makes a batch larger belongs here, for what comes before may be sent from a worker.

        Args:
            batch: Transformed items [B, ...].

        Returns:
            Tensor [B, ...].
        """
        return batch


@dataclass(frozen=True, eq=False)
class Sent:
    """A modality of a batch on its way from a worker: what is unpickled is the tensor that it becomes.

    Args:
        transform: By which the batch is finished.
        tensors: Of the samples that have the modality.
        rows: Their numbers; a list, for every tensor that is sent costs a connection.
        length: Number of all rows.
    """

    transform: Transform
    tensors: Tensor
    rows: Sequence[int]
    length: int

    def batch(self) -> Tensor:
        """All rows, with zeros where there is nothing."""
        finished = self.transform.finish(self.tensors)
        if len(self.rows) == self.length:
            return finished
        return finished.new_zeros(self.length, *finished.shape[1:]).index_copy_(
            0, torch.tensor(self.rows), finished
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.transform, self.tensors, self.rows, self.length)


def _arrive(*parts: Any) -> Tensor:
    return Sent(*parts).batch()
