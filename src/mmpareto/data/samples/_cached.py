"""Samples made of cached items when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from mmpareto.data._recipe import Batch, Draw, MultimodalDataset
from mmpareto.data.caching._cache import Cache
from mmpareto.data.samples._transform import Sent
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

    source: Cache | Tensor
    index: Tensor
    transform: Transform

    def tensor(self, sample: int, random: np.random.Generator | None) -> Tensor:
        """The modality of a sample that has it."""
        item = self.source[int(self.index[sample])]
        assert item is not None  # CachedDataset has seen to it
        return self.transform(item.numpy() if isinstance(item, Tensor) else item, random)


@dataclass(frozen=True, eq=False)
class CachedDataset(MultimodalDataset):
    """Samples whose modalities are made of cached items; augmented if they are asked for by a `Draw`.

    What is random about a sample depends on the draw's seed, its epoch, the modality and the
    sample's number alone.

    Args:
        columns: For each modality its items.
        labels: Tensor [N, ...].
        ids: N of them.

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
            known = set(range(-1, len(column.source))) - (
                column.source.damaged.keys() if isinstance(column.source, Cache) else set()
            )
            if missing := sorted(set(column.index.tolist()) - known):
                raise MMParetoError(
                    f"Items of `{name}` should be there and undamaged. Found the numbers {missing}."
                )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        numbers = torch.arange(len(self))[list(index) if isinstance(index, Sequence) else index]
        if numbers.ndim == 0:
            sample = int(numbers)
            present = {
                name: column for name, column in self.columns.items() if column.index[sample] >= 0
            }
            single = {
                name: column.transform.finish(column.tensor(sample, None)[None])[0]
                for name, column in present.items()
            }
            return {"inputs": single, "label": self.labels[sample], "id": self.ids[sample]}
        samples, rows = numbers.tolist(), {}
        inputs: dict[str, Any] = {}
        for place, (name, column) in enumerate(self.columns.items()):
            own = (column.index[numbers] >= 0).nonzero().flatten().tolist()
            if not own:
                continue
            if len(own) < len(samples):
                rows[name] = torch.tensor(own)
            tensors = [
                column.tensor(samples[row], _random(index, place, samples[row])) for row in own
            ]
            # In a worker this puts them where the main process can read them, without a copy.
            sent = Sent(column.transform, default_collate(tensors), own, len(samples))
            inputs[name] = sent if get_worker_info() else sent.batch()
        ids = (
            self.ids[numbers]
            if isinstance(self.ids, Tensor)
            else [self.ids[sample] for sample in samples]
        )
        batch = {"inputs": inputs, "label": self.labels[numbers], "id": ids}
        return batch | {"rows": rows} if rows else batch


def _random(index: Any, place: int, sample: int) -> np.random.Generator | None:
    """What the random changes to a sample are drawn from, in its modality of a place; None unless it is drawn."""
    if not isinstance(index, Draw):
        return None
    return np.random.Generator(
        np.random.Philox(key=[index.seed, index.epoch], counter=[0, 0, place, sample])
    )
