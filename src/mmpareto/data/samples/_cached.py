"""Samples made of cached items when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from mmpareto.data._dataset import Batch, EpochIndices, MultimodalDataset
from mmpareto.data.caching._cache import Cache
from mmpareto.data.caching._uncached import Uncached
from mmpareto.data.samples._transform import FinishedOnArrival, PendingBatch
from mmpareto.data.samples._transform import Transform as Transform
from mmpareto.errors import MMParetoError


@dataclass(frozen=True, eq=False)
class Column:
    """One modality of N samples.

    Args:
        source: Items.
        index: int64 [N], the place of each sample's item; -1 where the sample lacks the modality.
        transform: From an item to a tensor.
    """

    source: Cache | Uncached | Tensor
    index: Tensor
    transform: Transform

    def tensor(self, sample: int, random: np.random.Generator | None) -> Tensor:
        """The modality of a sample that has it."""
        item = self.source[int(self.index[sample])]
        assert item is not None  # CachedDataset refuses damaged items
        return self.transform(item.numpy() if isinstance(item, Tensor) else item, random)

    def absent(self) -> list[int]:
        """Places in `index` where there is no item, or a damaged one, in order."""
        places = set(range(-1, len(self.source)))
        if not isinstance(self.source, Tensor):
            places -= self.source.damaged.keys()
        return sorted(set(self.index.tolist()) - places)


@dataclass(frozen=True, eq=False)
class CachedDataset(MultimodalDataset):
    """Samples whose modalities are made of cached items; `EpochIndices` augment them.

    What is random about a sample depends on the seed, the epoch, the modality and the sample's
    number alone.

    Args:
        columns: For each modality its items.
        labels: Tensor [N, ...].
        ids: N names, or a tensor [N].

    Raises:
        MMParetoError: If the numbers of samples differ, or an item is not there.

    Example:
        >>> from mmpareto.data.samples._augment import Plain
        >>> column = Column(torch.tensor([[1.0], [2.0]]), torch.tensor([1, -1, 0]), Plain())
        >>> dataset = CachedDataset({"table": column}, torch.tensor([0, 1, 0]), ["a", "b", "c"])
        >>> dataset[0]
        {'inputs': {'table': tensor([2.])}, 'label': tensor(0), 'id': 'a'}
        >>> dataset[[1, 2]]["inputs"], dataset[[1, 2]]["rows"]
        ({'table': tensor([[0.],
                [1.]])}, {'table': tensor([1])})
    """

    columns: Mapping[str, Column]
    labels: Tensor
    ids: Sequence[str] | Tensor

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if not len(column.index) == len(self.labels) == len(self.ids):
                raise MMParetoError(
                    "Labels, ids and the index of each modality should be equally many. Found "
                    f"{len(self.labels)} labels, {len(self.ids)} ids and {len(column.index)} of "
                    f"`{name}`."
                )
            absent = column.absent()
            if absent:
                raise MMParetoError(
                    f"Items of `{name}` should be there and undamaged. Found the numbers {absent}."
                )

    def __len__(self) -> int:
        return len(self.labels)

    def all_labels(self) -> Tensor:
        return self.labels

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        numbers = torch.arange(len(self))[list(index) if isinstance(index, Sequence) else index]
        if numbers.ndim == 0:
            return self._sample(int(numbers))
        batch = self._batch(numbers, index if isinstance(index, EpochIndices) else None)
        pending: dict[str, PendingBatch] = batch["inputs"]
        for name, values in pending.items():
            finished = FinishedOnArrival(values) if get_worker_info() else values.finished()
            batch["inputs"][name] = finished
        return batch

    def pending(self, indices: Sequence[int]) -> Batch:
        draw = indices if isinstance(indices, EpochIndices) else None
        return self._batch(torch.tensor(list(indices)), draw)

    def _sample(self, sample: int) -> Batch:
        inputs = {}
        for name, column in self.columns.items():
            if column.index[sample] >= 0:
                batch = column.tensor(sample, None)[None]
                inputs[name] = column.transform.finish(batch)[0]
        return {"inputs": inputs, "label": self.labels[sample], "id": self.ids[sample]}

    def _batch(self, numbers: Tensor, augmented_by: EpochIndices | None) -> Batch:
        samples = numbers.tolist()
        inputs: dict[str, Any] = {}
        rows: dict[str, Tensor] = {}
        for place, (name, column) in enumerate(self.columns.items()):
            present = (column.index[numbers] >= 0).nonzero().flatten().tolist()
            if not present:
                continue
            if len(present) < len(samples):
                rows[name] = torch.tensor(present)
            drawn_by = augmented_by if augmented_by and augmented_by.changes(name) else None
            tensors = []
            for row in present:
                random = _random(drawn_by, place, samples[row])
                tensors.append(column.tensor(samples[row], random))
            # In a worker this puts them where the main process can read them, without a copy.
            collated = default_collate(tensors)
            inputs[name] = PendingBatch(column.transform, collated, present, len(samples))
        batch = {"inputs": inputs, "label": self.labels[numbers], "id": self._ids(numbers)}
        return batch | {"rows": rows} if rows else batch

    def _ids(self, numbers: Tensor) -> list[str] | Tensor:
        if isinstance(self.ids, Tensor):
            return self.ids[numbers]
        return [self.ids[sample] for sample in numbers.tolist()]


def _random(
    augmented_by: EpochIndices | None, modality: int, sample: int
) -> np.random.Generator | None:
    """The generator of the random changes to one modality of one sample."""
    if augmented_by is None:
        return None
    key = [augmented_by.seed, augmented_by.epoch]
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, modality, sample]))
