"""The loss of a step that several parts of a batch make up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmpareto.step import Accumulation
from mmpareto.step._report import StepReport


class AccumulatedLoss:
    """In place of `BalancedLoss` where each part of a batch has a forward pass of its own.

    Objectives' gradients are added up part by part, and balanced once.

    Args:
        accumulation: Adds up and balances.
        parts: Number of parts of a batch.

    Attributes:
        report: The geometry of the step that the last part completed; else empty.
    """

    def __init__(self, accumulation: Accumulation, parts: int) -> None:
        self._accumulation, self._parts, self._added = accumulation, parts, 0
        self.report = StepReport({})

    def add(self, losses: Mapping[str, Tensor], scale: Callable[[Tensor], Tensor]) -> Tensor:
        """Adds the gradients of a part's losses.

        Args:
            losses: Means over the part's samples.
            scale: Scales losses against underflow.

        Returns:
            The sum of the losses, without a graph.
        """
        scaled = {name: scale(loss / self._parts) for name, loss in losses.items()}
        with torch.autocast(next(iter(losses.values())).device.type, enabled=False):
            self._accumulation.add(scaled)
        self._added += 1
        return torch.stack([loss.detach() for loss in losses.values()]).sum()

    def backward(self) -> None:
        """After the last part, writes the balanced gradient into ``.grad``."""
        self.report = StepReport({})
        if self._added == self._parts:
            self.report, self._added = self._accumulation.backward(), 0
