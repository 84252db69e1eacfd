"""A part of the training data that is held out for methods that learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mmpareto.data import Batch, EpochIndices, MultimodalDataset
from mmpareto.training._config import RunConfig

SHARE = 10
"""Of so many samples one is held out."""


@dataclass(frozen=True, eq=False)
class Part(MultimodalDataset):
    """Some samples of a data set.

    Args:
        dataset: The data set.
        numbers: Which samples.
    """

    dataset: MultimodalDataset
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Batch:
        """The sample, or the batch of samples, at `index`."""
        if isinstance(index, int):
            return self.dataset[self.numbers[index]]
        if isinstance(index, slice):
            return self.dataset[list(self.numbers[index])]
        return self.dataset[self._of_whole(index)]

    def pending(self, indices: Sequence[int]) -> Batch:
        """See `MultimodalDataset`."""
        return self.dataset.pending(self._of_whole(indices))

    def _of_whole(self, indices: Any) -> Sequence[int]:
        """Numbers in the data set of samples of this part."""
        positions = indices.tolist() if isinstance(indices, Tensor) else indices
        numbers = [self.numbers[position] for position in positions]
        return replace(indices, indices=numbers) if isinstance(indices, EpochIndices) else numbers


def learning_parts(
    config: RunConfig, train: MultimodalDataset
) -> tuple[MultimodalDataset, MultimodalDataset | None]:
    """What a training trains on, and what of it is held out for its method, if anything is.

    The validation part stays what it is for all methods: it selects the epoch, and nothing else.

    Args:
        config: The training.
        train: The whole training part.
    """
    if not (config.hold_out or config.method.facts.uses_validation):
        return train, None
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    count = max(1, len(train) // SHARE)
    return Part(train, sorted(order[count:])), Part(train, sorted(order[:count]))
