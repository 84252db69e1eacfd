"""Batches in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch.utils.data import Sampler

from mmpareto.data import EpochIndices
from mmpareto.errors import MMParetoError


class EpochBatches(Sampler[EpochIndices]):
    """Batches of indices, shuffled anew in each epoch.

    A resumed training sees the batches that it would have seen.

    Args:
        size: Number of samples.
        batch_size: Samples per batch, over all processes; the remainder is dropped.
        seed: Seed of the order, and of random changes to the samples.
        rank: Number of this process, from 0; it takes every `processes`-th sample of each batch.
        processes: Number of processes that share each batch; a divisor of its size.
        parts: Parts that the process takes its share in; a divisor of the share's size.
        modalities: The modalities whose samples are changed at random; None for all.
        turns: How many times in a row each batch is given.

    Example:
        >>> batches = EpochBatches(size=5, batch_size=2, seed=0)
        >>> first = list(batches)
        >>> batches.set_epoch(1)
        >>> len(first), first == list(batches)
        (2, False)
        >>> half = EpochBatches(size=5, batch_size=2, seed=0, rank=1, processes=2)
        >>> list(half) == [batch[1:] for batch in first]
        True
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        processes: int = 1,
        parts: int = 1,
        modalities: Collection[str] | None = None,
        turns: int = 1,
    ) -> None:
        if batch_size > size:
            raise MMParetoError(
                f"Parameter `batch_size` should be at most the size of the training part, {size}. "
                f"Found {batch_size}."
            )
        self.size, self.batch_size = size, batch_size
        self.seed, self.epoch = seed, 0
        self.rank, self.processes = rank, processes
        self.parts, self.modalities, self.turns = parts, modalities, turns

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of `epoch`; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[EpochIndices]:
        # Distinct seeds for all pairs in reach: an epoch of one seed must not repeat another
        # seed's.
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)
        count = self.size // self.batch_size
        batches = order[: count * self.batch_size].view(count, -1)
        shares = batches[:, self.rank :: self.processes].repeat_interleave(self.turns, 0)
        for indices in shares.reshape(len(self), -1).tolist():
            yield EpochIndices(indices, self.seed, self.epoch, self.modalities)

    def __len__(self) -> int:
        return self.size // self.batch_size * self.turns * self.parts
