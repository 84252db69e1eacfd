"""Batches in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from mmpareto.data import Batch, EpochIndices, MultimodalDataset
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT
from mmpareto.specs import Shape, Text

_MOST, _NUMBERS = 500, 2**24  # samples of a batch in evaluation, and numbers in its inputs


class EpochBatches(Sampler[EpochIndices]):
    """Batches of indices, shuffled anew in each epoch; a resumed training sees the batches it would have seen.

    Args:
        size: Number of samples.
        batch_size: Of every batch, over all processes; the remainder is dropped.
        seed: Of the order, and of random changes to the samples.
        rank: Number of this process, which takes every so-many-th sample of each batch.
        processes: How many share each batch; a divisor of its size.

    Example:
        >>> batches = EpochBatches(size=5, batch_size=2, seed=0)
        >>> first = [list(batch) for batch in batches]
        >>> batches.set_epoch(1)
        >>> len(first), first == [list(batch) for batch in batches]
        (2, False)
        >>> shares = [list(EpochBatches(size=5, batch_size=2, seed=0, rank=rank, processes=2)) for rank in range(2)]
        >>> [[*ours, *theirs] for ours, theirs in zip(*shares)] == first
        True
    """

    def __init__(
        self, size: int, batch_size: int, seed: int, *, rank: int = 0, processes: int = 1
    ) -> None:
        if batch_size > size:
            raise MMParetoError(
                f"Parameter `batch_size` should be at most the size of the training part, {size}. "
                f"Found {batch_size}."
            )
        self.size, self.batch_size, self.seed, self.epoch = size, batch_size, seed, 0
        self.rank, self.processes = rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of `epoch`; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[EpochIndices]:
        # Distinct seeds for all pairs in reach: an epoch of one seed must not repeat another
        # seed's.
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)
        batches = order[: len(self) * self.batch_size].view(len(self), -1)
        for indices in batches[:, self.rank :: self.processes].tolist():
            yield EpochIndices(indices, self.seed, self.epoch)

    def __len__(self) -> int:
        return self.size // self.batch_size


class _Loader(DataLoader[Batch]):
    """Begins an epoch when its first batch is asked for.

    Lightning makes the iterator of a resumed epoch before it sets that epoch's number, and workers
    would have begun by then.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        yield from super().__iter__()


def _loader(
    dataset: MultimodalDataset,
    batches: Iterable[Sequence[int]],
    modalities: Iterable[str],
    workers: int,
) -> DataLoader[Batch]:
    """Each batch is one look-up in the data set.

    Workers compute with one thread each, as torch has it.
    """
    settings: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    # A generator of its own: torch would draw from the global one, which would then depend on the
    # workers.
    generator = torch.Generator().manual_seed(0)
    choose = partial(select_modalities, modalities=tuple(modalities))
    return _Loader(
        dataset,
        batch_size=None,
        sampler=batches,
        collate_fn=choose,
        generator=generator,
        **settings,
    )


def training_loader(
    dataset: MultimodalDataset,
    modalities: Iterable[str],
    batch_size: int,
    seed: int,
    *,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> DataLoader[Batch]:
    """Shuffled batches, of each the share of process `rank`, as `select_modalities` leaves them."""
    batches = EpochBatches(len(dataset), batch_size, seed, rank=rank, processes=processes)
    return _loader(dataset, batches, modalities, workers)


def evaluation_loader(
    dataset: MultimodalDataset, shapes: Mapping[str, Shape], *, workers: int = 0
) -> DataLoader[Batch]:
    """All samples, in order, in batches that fit into memory, as `select_modalities` leaves them.

    Args:
        dataset: The samples.
        shapes: Of the modalities that are asked for.
        workers: Processes that load.
    """
    numbers = sum(
        shape.length if isinstance(shape, Text) else math.prod(shape) for shape in shapes.values()
    )
    size = max(1, min(_MOST, _NUMBERS // numbers))
    batches = [
        list(range(start, min(start + size, len(dataset))))
        for start in range(0, len(dataset), size)
    ]
    return _loader(dataset, batches, shapes, workers)


def select_modalities(batch: Batch, modalities: Iterable[str]) -> Batch:
    """The batch with the inputs of some modalities alone.

    Args:
        batch: Of a data set.
        modalities: Which to keep.

    Returns:
        The batch, always with ``"rows"``; under ``"joint"``, where a sample has none of the
        modalities, the samples that have some: there is nothing to tell the others by.

    Example:
        >>> batch = {"inputs": {"a": torch.ones(3, 1), "b": torch.ones(3, 1)}, "label": torch.ones(3)}
        >>> select_modalities({**batch, "rows": {"a": torch.tensor([0, 2])}}, ["a"])["rows"]
        {'a': tensor([0, 2]), 'joint': tensor([0, 2])}
    """
    inputs = {
        modality: batch["inputs"][modality]
        for modality in modalities
        if modality in batch["inputs"]
    }
    rows = {
        modality: found for modality, found in batch.get("rows", {}).items() if modality in inputs
    }
    if inputs and rows.keys() == inputs.keys():
        some = torch.unique(torch.cat(list(rows.values())))
        if len(some) < len(batch["label"]):
            rows[JOINT] = some
    return {**batch, "inputs": inputs, "rows": rows}
