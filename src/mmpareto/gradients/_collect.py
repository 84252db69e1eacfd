"""The gradient of one objective."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def collect(loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool) -> dict[Tensor, Tensor | None]:
    """Gradient of one objective with respect to `parameters`, in one autograd pass; ``.grad`` is not touched.

    Args:
        loss: Scalar objective.
        parameters: Leaf tensors.
        retain_graph: Whether a later objective still needs the graph.

    Returns:
        For each parameter its gradient, of the same shape; None where the objective does not depend on it.
        Autograd may hand out one buffer twice, or a view: the gradients are to be read, never written in place.

    Example:
        >>> import torch
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> collect(w.square().sum(), [w], retain_graph=False)[w]
        tensor([2., 4.])
    """
    if not parameters:
        return {}
    gradients = torch.autograd.grad(loss, parameters, retain_graph=retain_graph, allow_unused=True)
    return dict(zip(parameters, gradients, strict=True))
