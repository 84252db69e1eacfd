"""The losses of an epoch, for the logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from mmpareto.data import Batch
from mmpareto.partition import JOINT


class MeanLosses:
    """Means of losses over an epoch, kept on the device.

    Args:
        modalities: The modalities of the model.
    """

    def __init__(self, modalities: Iterable[str]) -> None:
        self._history: list[list[Tensor]] = []
        self._sums: dict[str, Tensor] = {}
        self._counts = dict.fromkeys((JOINT, *modalities), 0)

    def add(self, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Adds means over those samples of a batch that have the objective."""
        self._history.append([loss.detach() for loss in losses.values()])
        for name, loss in losses.items():
            count = len(batch["rows"].get(name, batch["label"]))
            self._counts[name] += count
            self._sums[name] = self._sums.get(name, 0) + loss.detach() * count

    def first_not_finite(self, like: Tensor) -> Tensor:
        """Number of the first batch, from 0, with a loss that is not finite; int64 [].

        Args:
            like: A tensor on the device of the result. Without such a batch this is the number of
                all batches.
        """
        for number, losses in enumerate(self._history):
            if losses and not torch.stack(losses).isfinite().all():
                return like.new_tensor(number, dtype=torch.int64)
        return like.new_tensor(len(self._history), dtype=torch.int64)

    def means(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The mean by objective, of those that any process has.

        Args:
            total: Adds numbers up over all processes.
        """
        zero = torch.zeros_like(next(iter(self._sums.values()), torch.zeros(())))
        sums = torch.stack([self._sums.get(name, zero) for name in self._counts])
        counts = sums.new_tensor(list(self._counts.values()))
        sums_of_all, counts_of_all = total(torch.stack([sums, counts])).tolist()
        means: dict[str, float] = {}
        for name, loss, count in zip(self._counts, sums_of_all, counts_of_all, strict=True):
            if count:
                means[name] = loss / count
        return means
