"""A balanced step for loops that call ``loss.backward()`` themselves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from mmpareto.balancing import Balancer, GramianWeighting, Method, as_method
from mmpareto.distributed import Group
from mmpareto.errors import MMParetoError
from mmpareto.gradients import is_passed_too, keeps_graph, not_compiled
from mmpareto.partition import Encoder, Partition, as_partition, check_some
from mmpareto.step._backward import EVERY_STEP, as_geometry, backward
from mmpareto.step._geometry import Geometry
from mmpareto.step._losses import check_losses
from mmpareto.step._report import StepReport


class BalancedLoss:
    """Makes of several losses one, whose ``.backward()`` is `mmpareto.backward`.

    For trainers that own the loop: Lightning's automatic optimization, Fabric, Accelerate, the
    Hugging Face Trainer. Whatever they do to a loss (a loss scaler's factor, a division by the
    number of accumulated batches) reaches every objective. Other terms may be added to it, also
    such as share a graph with the losses: their gradients are added to the balanced ones.

    Args:
        encoders: As for `backward`.
        method: As for `backward`.
        geometry: As for `backward`.
        group: As for `backward`.
        average: As for `backward`.

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
        method: Method | Balancer | GramianWeighting,
        *,
        geometry: Geometry | None = EVERY_STEP,
        group: Group = None,
        average: bool = True,
    ) -> None:
        self.partition, checked = as_partition(encoders), as_method(method)
        self.method = method if isinstance(method, Balancer) else checked
        as_geometry(geometry)  # it is one, or None
        self.geometry, self.group, self.average = geometry, group, average
        self.report = StepReport({})

    @not_compiled
    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of the losses, 0-d, to be differentiated once.

        Args:
            losses: As for `backward`.

        Raises:
            MMParetoError: If the losses do not fit the encoders.
        """
        reach = check_losses(losses, self.partition).reach
        check_some(reach)
        leaves = dict.fromkeys(chain.from_iterable(reach.values()))
        value = torch.stack([loss.detach().reshape(()) for loss in losses.values()]).sum()
        # The losses stay outside of the new graph: autograd would pass through theirs once more.
        result: Tensor = _Balanced.apply(value.requires_grad_(), self, dict(losses), list(leaves))  # type: ignore[no-untyped-call]
        return result.as_subclass(_PlainBackward)

    def backward(
        self, losses: Mapping[str, Tensor], factor: Tensor, *, retain_graph: bool = False
    ) -> None:
        """`mmpareto.backward` on the losses times `factor`."""
        with torch.enable_grad():
            scaled = {name: loss * factor for name, loss in losses.items()}
        self.report = backward(
            scaled,
            self.partition,
            self.method,
            geometry=self.geometry,
            retain_graph=retain_graph,
            group=self.group,
            average=self.average,
        )


class _Balanced(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        balanced: BalancedLoss,
        losses: Mapping[str, Tensor],
        leaves: list[Tensor],
    ) -> Tensor:
        ctx.balanced, ctx.losses, ctx.leaves = balanced, losses, leaves
        return value.clone()

    @staticmethod
    @not_compiled
    def backward(ctx: Any, factor: Tensor) -> tuple[None, None, None, None]:
        losses, ctx.losses = ctx.losses, None
        if losses is None:
            raise MMParetoError(
                "A balanced loss should be differentiated once. Found a second backward pass. Call "
                "the BalancedLoss again."
            )
        if torch.is_grad_enabled():
            raise MMParetoError(
                "A balanced gradient has no graph of its own. Found create_graph=True. Leave it "
                "out, and do without second derivatives."
            )
        # Another term of the sum may pass through the losses' graph after this.
        shared = keeps_graph() or any(map(is_passed_too, ctx.leaves))
        ctx.balanced.backward(losses, factor, retain_graph=shared)
        return None, None, None, None


class _PlainBackward(Tensor):
    """A loss, also one computed from it, that refuses what would pass a balanced step by."""

    def __format__(self, format_spec: str) -> str:
        return format(self.detach(), format_spec)  # torch formats numbers of its own class alone

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.backward and kwargs.get("inputs") is not None:
            raise MMParetoError(
                "A balanced loss should be differentiated for all parameters. Found "
                "backward(inputs=...), which would pass it by. Leave `inputs` out, and freeze what "
                "is not to be trained by requires_grad_(False)."
            )
        if func is torch.autograd.grad:
            raise MMParetoError(
                "A balanced loss should be differentiated by its backward(). Found "
                "torch.autograd.grad, which would pass it by. Differentiate the losses themselves."
            )
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        is_property = getattr(func, "__name__", "") == "__get__"
        if isinstance(result, Tensor) and result.requires_grad and not is_property:
            return result.as_subclass(cls)
        return result
