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
        device: The device, also of a process that has no loss in the whole epoch.
    """

    def __init__(self, modalities: Iterable[str], device: torch.device) -> None:
        self._device = device
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

    def first_not_finite(self) -> Tensor:
        """Number of the first batch, from 0, with a loss that is not finite; int64 [].

        Without such a batch it is the number of all batches.
        """
        first = len(self._history)
        for number, losses in enumerate(self._history):
            if losses and not torch.stack(losses).isfinite().all():
                first = number
                break
        return torch.tensor(first, device=self._device)

    def means(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The mean by objective, of those that any process has.

        Args:
            total: Adds numbers up over all processes.
        """
        zero = torch.zeros((), device=self._device)
        sums = torch.stack([self._sums.get(name, zero) for name in self._counts])
        counts = sums.new_tensor(list(self._counts.values()))
        sums_of_all, counts_of_all = total(torch.stack([sums, counts])).tolist()
        means: dict[str, float] = {}
        for name, loss, count in zip(self._counts, sums_of_all, counts_of_all, strict=True):
            if count:
                means[name] = loss / count
        return means
