"""A balanced step for loops that call ``loss.backward()`` themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmpareto.balancing import GramianWeighting, Method, as_method
from mmpareto.distributed import Group
from mmpareto.errors import MMParetoError
from mmpareto.partition import Encoder, Partition, as_partition, check_some
from mmpareto.step._backward import backward
from mmpareto.step._losses import check_objectives
from mmpareto.step._report import StepReport


class BalancedLoss:
    """Makes of several losses one, whose ``.backward()`` is `mmpareto.backward`.

    For trainers that own the loop: Lightning's automatic optimization, Fabric, Accelerate, the
    Hugging Face Trainer. Whatever they do to a loss (a loss scaler's factor, a division by the
    number of accumulated batches) reaches every objective.

    Args:
        encoders: As for `backward`.
        method: As for `backward`.
        geometry: As for `backward`.
        group: As for `backward`.

    Attributes:
        report: The geometry of the last step.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, head = nn.Linear(4, 2), nn.Linear(2, 1)
        >>> balanced = mp.BalancedLoss({"audio": ear}, mp.MMPareto())
        >>> feature = ear(torch.randn(8, 4))
        >>> loss = balanced({"joint": head(feature).mean(), "audio": feature.mean()})
        >>> loss.backward()
        >>> balanced.report["audio"].objectives
        ('joint', 'audio')
    """

    def __init__(
        self,
        encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
        method: Method | GramianWeighting,
        *,
        geometry: bool = True,
        group: Group = "default",
    ) -> None:
        self.partition, self.method = as_partition(encoders), as_method(method)
        self.geometry, self.group = geometry, group
        self.report = StepReport({})

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of the losses, 0-d, to be differentiated once.

        Args:
            losses: As for `backward`.

        Raises:
            MMParetoError: If the losses do not fit the encoders.
        """
        objectives = check_objectives(losses, self.partition)
        check_some(objectives)
        value = torch.stack([objective.loss.detach().reshape(()) for objective in objectives]).sum()
        # The losses stay outside of the new graph: autograd would pass through theirs once more.
        result: Tensor = _Balanced.apply(value.requires_grad_(), self, dict(losses))  # type: ignore[no-untyped-call]
        return result

    def backward(self, losses: Mapping[str, Tensor], factor: Tensor) -> None:
        """`mmpareto.backward` on the losses times `factor`."""
        with torch.enable_grad():
            scaled = {name: loss * factor for name, loss in losses.items()}
        self.report = backward(
            scaled, self.partition, self.method, geometry=self.geometry, group=self.group
        )


class _Balanced(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, balanced: BalancedLoss, losses: Mapping[str, Tensor]
    ) -> Tensor:
        ctx.balanced, ctx.losses = balanced, losses
        return value.clone()

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[None, None, None]:
        losses, ctx.losses = ctx.losses, None
        if losses is None:
            raise MMParetoError(
                "A balanced loss should be differentiated once. Found a second backward pass. Call "
                "the BalancedLoss again."
            )
        ctx.balanced.backward(losses, factor)
        return None, None, None
