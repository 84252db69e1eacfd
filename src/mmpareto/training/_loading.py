"""Batches in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Sampler

from mmpareto.data import Batch, MultimodalDataset
from mmpareto.errors import MMParetoError


class EpochBatches(Sampler[list[int]]):
    """Batches of indices, shuffled anew in each epoch; a resumed training sees the batches it would have seen.

    Args:
        size: Number of samples.
        batch_size: Of every batch, over all processes; the remainder is dropped.
        seed: Of the order.
        rank: Number of this process, which takes every so-many-th sample of each batch.
        processes: How many share each batch; a divisor of its size.

    Example:
        >>> batches = EpochBatches(size=5, batch_size=2, seed=0)
        >>> first = list(batches)
        >>> batches.set_epoch(1)
        >>> len(first), first == list(batches)
        (2, False)
        >>> shares = [list(EpochBatches(size=5, batch_size=2, seed=0, rank=rank, processes=2)) for rank in range(2)]
        >>> [[*ours, *theirs] for ours, theirs in zip(*shares)] == first
        True
    """

    def __init__(self, size: int, batch_size: int, seed: int, *, rank: int = 0, processes: int = 1) -> None:
        if batch_size > size:
            raise MMParetoError(
                f"Parameter `batch_size` should be at most the size of the training part, {size}. Found {batch_size}."
            )
        self.size, self.batch_size, self.seed, self.epoch = size, batch_size, seed, 0
        self.rank, self.processes = rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of `epoch`; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, because Lightning makes the iterator of a resumed epoch before it sets that epoch's number.
        # Distinct seeds for all pairs in reach: an epoch of one seed must not repeat another seed's.
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)
        batches = order[: len(self) * self.batch_size].view(len(self), -1)
        yield from batches[:, self.rank :: self.processes].tolist()

    def __len__(self) -> int:
        return self.size // self.batch_size


def training_loader(
    dataset: MultimodalDataset, batch_size: int, seed: int, *, rank: int = 0, processes: int = 1
) -> DataLoader[Batch]:
    """Shuffled batches, of each the share of process `rank`; each is one look-up in the data set."""
    batches = EpochBatches(len(dataset), batch_size, seed, rank=rank, processes=processes)
    return DataLoader(dataset, batch_size=None, sampler=batches)


def evaluation_loader(dataset: MultimodalDataset, batch_size: int = 500) -> DataLoader[Batch]:
    """All samples, in order."""
    starts = range(0, len(dataset), batch_size)
    batches = [list(range(start, min(start + batch_size, len(dataset)))) for start in starts]
    return DataLoader(dataset, batch_size=None, sampler=batches)
