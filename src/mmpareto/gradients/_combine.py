"""Weighted sums of gradients, and their way into ``.grad``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def combine(gradients: list[list[Tensor | None]], weights: Tensor) -> list[Tensor | None]:
    """Weighted sum of several objectives' gradients on one encoder.

    One new tensor is made at a time and the summands are released on the way, so that no second
    copy of the encoder's gradient ever exists. The summands themselves are not written to: autograd
    may have handed out one buffer twice.

    Args:
        gradients: For each of the m objectives, its gradient for each of the encoder's T parameter
            tensors; None stands for zero. Emptied by the call.
        weights: Tensor [m], or [T, m] for weights of each parameter tensor.

    Returns:
        T tensors; None where all summands are.

    Example:
        >>> import torch
        >>> combine([[torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 1.0])]], torch.tensor([2.0, 3.0]))
        [tensor([2., 3.])]
    """
    tensors = list(zip(*gradients, strict=True))
    gradients.clear()
    rows = (
        [weights.unbind()] * len(tensors)
        if weights.dim() == 1
        else [row.unbind() for row in weights.unbind()]
    )
    return [_weighted_sum(tensors.pop(0), row) for row in rows]


def _weighted_sum(
    summands: tuple[Tensor | None, ...], weights: tuple[Tensor, ...]
) -> Tensor | None:
    total = None
    for gradient, weight in zip(summands, weights, strict=True):
        if gradient is not None:
            weight = weight.to(gradient.dtype)
            total = gradient * weight if total is None else total.addcmul_(gradient, weight)
    return total


def add(
    total: dict[Tensor, Tensor], gradients: dict[Tensor, Tensor | None], weight: float = 1.0
) -> None:
    """Adds one objective's gradients, by parameter and times `weight`, to a running sum that owns its tensors.

    The gradients are released on the way: `gradients` is emptied.
    """
    while gradients:
        parameter, gradient = gradients.popitem()
        if gradient is None:
            continue
        if parameter in total:
            total[parameter].add_(gradient, alpha=weight)
        else:
            # Autograd accumulates a copy where a buffer is not its own to keep; from here that
            # cannot be told.
            total[parameter] = gradient.clone() if weight == 1 else gradient * weight


@torch.no_grad()
def accumulate(gradients: Mapping[Tensor, Tensor]) -> None:
    """Adds `gradients` to what is in their parameters' ``.grad``, as autograd does.

    A new ``.grad`` has its parameter's strides, on which fused optimizers rely.
    """
    for parameter, gradient in gradients.items():
        if parameter.grad is not None:
            parameter.grad += gradient
        elif gradient.stride() == parameter.stride():
            parameter.grad = gradient
        else:
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
