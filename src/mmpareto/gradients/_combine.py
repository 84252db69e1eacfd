"""Weighted sums of gradients, and their way into ``.grad``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmpareto.errors import MMParetoError
from mmpareto.gradients._buckets import as_matrix, largest_bucket
from mmpareto.gradients._collect import Gradients
from mmpareto.gradients._torch_compat import run_accumulation_hooks

_LITTLE = 2**16
"""Bytes that cost less than a call, on any device."""


def combine(gradients: list[list[Tensor | None]], weights: Tensor) -> list[Tensor | None]:
    """Weighted sum of several objectives' gradients on one encoder.

    One new tensor is made at a time and the summands are released on the way, so that no second
    copy of the encoder's gradient ever exists. The summands themselves are not written to: autograd
    may have handed out one buffer twice. The sum is taken in the weights' precision and rounded
    once, so that where gradients of low precision nearly cancel its direction is right.

    Args:
        gradients: For each of the m objectives, its gradient for each of T parts of the encoder,
            parameter tensors or buckets of them; None stands for zero. Emptied by the call.
        weights: Tensor [m], or [T, m] for weights of each part.

    Returns:
        T tensors; None where all summands are.

    Example:
        >>> import torch
        >>> gradients = [[torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 1.0])]]
        >>> combine(gradients, torch.tensor([2.0, 3.0]))
        [tensor([2., 3.])]
    """
    tensors = list(zip(*gradients, strict=True))
    gradients.clear()
    if weights.dim() == 1:
        rows = [(weights, weights.unbind())] * len(tensors)
    else:
        rows = list(zip(weights.unbind(), map(Tensor.unbind, weights.unbind()), strict=True))
    return [_weighted_sum(tensors.pop(0), *row) for row in rows]


def _weighted_sum(
    summands: tuple[Tensor | None, ...], row: Tensor, weights: tuple[Tensor, ...]
) -> Tensor | None:
    matrix = as_matrix(summands)
    if matrix is not None:
        wide = matrix.T.to(torch.promote_types(matrix.dtype, row.dtype))
        return torch.mv(wide, row.to(wide.dtype)).to(matrix.dtype)
    total = None
    for gradient, weight in zip(summands, weights, strict=True):
        if gradient is None:
            continue
        dtype, wide, factor = gradient.dtype, gradient, weight
        if dtype != weight.dtype:
            precise = torch.promote_types(dtype, weight.dtype)
            wide, factor = gradient.to(precise), weight.to(precise)
        if total is None:
            total = wide * factor
        elif total.layout == torch.strided:
            total.addcmul_(wide, factor)
        else:  # nested tensors know no addcmul_
            total = total + wide * factor
    return None if total is None else total.to(dtype)


def add(
    total: dict[Tensor, Tensor], gradients: dict[Tensor, Tensor | None], weight: float = 1.0
) -> None:
    """Adds one objective's gradients to a running sum that owns its tensors.

    Args:
        total: The sum by parameter.
        gradients: What to add, by parameter. Emptied by the call.
        weight: Factor of what is added.
    """
    while gradients:
        new, known = _some(total, gradients)
        # Autograd accumulates a copy where a buffer is not its own to keep; from here that cannot
        # be told.
        if new:
            total |= dict(zip(new, torch._foreach_mul(list(new.values()), weight), strict=True))
        if known:
            sums = list(map(total.__getitem__, known))
            torch._foreach_add_(sums, list(known.values()), alpha=weight)


def _some(
    total: Mapping[Tensor, Tensor], gradients: Gradients
) -> tuple[dict[Tensor, Tensor], dict[Tensor, Tensor]]:
    """As many of `gradients` as a bucket holds: those not in `total`, and those that are."""
    new: dict[Tensor, Tensor] = {}
    known: dict[Tensor, Tensor] = {}
    size, largest = 0, _LITTLE
    while gradients and size < largest:
        parameter, gradient = gradients.popitem()
        if gradient is not None:
            (known if parameter in total else new)[parameter] = gradient
            size += gradient.nbytes
            largest = max(_LITTLE, largest_bucket(gradient.device))
    return new, known


@torch.no_grad()
def accumulate(gradients: Mapping[Tensor, Tensor]) -> None:
    """Adds `gradients` to what is in their parameters' ``.grad``, as autograd does.

    A new ``.grad`` has its parameter's strides, on which fused optimizers rely. What waits for it
    (``register_post_accumulate_grad_hook``) is called when all are there.

    Raises:
        MMParetoError: If a ``.grad`` cannot be added to. No ``.grad`` was changed then.
    """
    for parameter in gradients:
        if parameter.grad is not None:
            _check_writable(parameter, parameter.grad)
    for parameter, gradient in gradients.items():
        if parameter.grad is not None:
            parameter.grad += gradient
        elif gradient.stride() == parameter.stride():
            parameter.grad = gradient
        else:
            parameter.grad = torch.empty_like(parameter).copy_(gradient)
    for parameter in gradients:
        run_accumulation_hooks(parameter)


def _check_writable(parameter: Tensor, gradient: Tensor) -> None:
    if gradient.layout != torch.strided:
        found = f"a {gradient.layout} one"
    elif gradient.shape != parameter.shape:
        found = f"one of shape {tuple(gradient.shape)}"
    elif gradient.is_inference():
        found = "one that was made under torch.inference_mode()"
    elif any(
        stride == 0 and size > 1
        for size, stride in zip(gradient.shape, gradient.stride(), strict=True)
    ):
        found = "an expanded one, whose entries share memory"
    else:
        return
    raise MMParetoError(
        f"A `.grad` should be a tensor of its own that can be added to. Found {found}, of a "
        f"parameter of shape {tuple(parameter.shape)}. Set it to None, e.g. by "
        "optimizer.zero_grad()."
    )
