"""The gradient of one objective."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mmpareto.errors import MMParetoError
from mmpareto.gradients._graph import keep_buffers
from mmpareto.gradients._torch_compat import explained, past_hooks

Gradients = dict[Tensor, Tensor | None]
"""By parameter, of the same shape; None where the objective does not depend on it."""


def collect(
    loss: Tensor,
    parameters: Sequence[Tensor],
    edges: Sequence[GradientEdge] = (),
    *,
    retain_graph: bool,
) -> tuple[Gradients, list[Tensor | None]]:
    """Gradient of one objective in one autograd pass; ``.grad`` is not touched.

    Args:
        loss: Scalar objective.
        parameters: Leaf tensors.
        edges: Values inside the graph. What only they lead to is not passed, and kept.
        retain_graph: Whether a later objective still needs the graph.

    Returns:
        The gradient by parameter, and at each of `edges`. Autograd may hand out one buffer twice,
        or a view: the gradients are to be read, never written in place.

    Raises:
        MMParetoError: If the graph cannot be passed several times, or a gradient is sparse or
            complex.

    Example:
        >>> import torch
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> collect(w.square().sum(), [w], retain_graph=False)[0][w]
        tensor([2., 4.])
    """
    inputs: list[Any] = [*parameters, *edges]
    if not inputs:
        return {}, []
    if retain_graph:
        keep_buffers(loss)
    with explained():
        found: Sequence[Tensor | None] = torch.autograd.grad(
            loss, inputs, retain_graph=retain_graph, allow_unused=True
        )
    split = len(parameters)
    return _dense(dict(zip(parameters, found[:split], strict=True))), list(found[split:])


def collect_below(
    cotangents: Mapping[GradientEdge, Tensor], parameters: Sequence[Tensor], *, retain_graph: bool
) -> Gradients:
    """Gradients of what is below some values of a graph, from the gradients at these.

    Args:
        cotangents: The gradient at each value, as `collect` gives it: after the hooks of the value,
            which do not change it once more.
        parameters: Leaf tensors.
        retain_graph: Whether to keep the graph.

    Returns:
        The gradient by parameter.
    """
    if not cotangents or not parameters:
        return dict.fromkeys(parameters)
    edges, outer = list(cotangents), list(cotangents.values())
    with explained(), past_hooks(cotangents):
        gradients = torch.autograd.grad(
            edges, parameters, outer, retain_graph=retain_graph, allow_unused=True
        )
    return _dense(dict(zip(parameters, gradients, strict=True)))


def collect_by_backward(
    loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool
) -> Gradients:
    """Gradient of one objective by ``.backward()``, for modules that shard their parameters.

    Such a module gathers its parameters before, and shards their gradients after a pass. The graph
    then ends in gathered copies, out of reach of ``torch.autograd.grad``. What is in ``.grad`` is
    put aside and put back, whatever happens.

    Args:
        loss: Scalar objective.
        parameters: The model's trainable parameters.
        retain_graph: Whether a later objective still needs the graph.

    Returns:
        The gradient by parameter, sharded as they are.

    Raises:
        MMParetoError: As for `collect`.
    """
    with grads_put_aside(parameters):
        if retain_graph:
            keep_buffers(loss)
        with explained():
            loss.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        return _dense({parameter: parameter.grad for parameter in parameters})


@contextmanager
def grads_put_aside(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Empties ``.grad`` of the parameters for a while, and puts back what was there at the end."""
    kept = [(parameter, parameter.grad) for parameter in parameters]
    try:
        for parameter, _ in kept:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def _dense(gradients: Gradients) -> Gradients:
    for gradient in gradients.values():
        if gradient is not None and gradient.is_complex():
            raise MMParetoError(
                f"Gradients should be real. Found {gradient.dtype}, of a parameter of shape "
                f"{tuple(gradient.shape)}. Keep real and imaginary part as a real parameter, see "
                "torch.view_as_complex."
            )
        if gradient is not None and gradient.is_sparse:
            raise MMParetoError(
                "Gradients should be dense. Found a sparse one, of a parameter of shape "
                f"{tuple(gradient.shape)}. Make its nn.Embedding with sparse=False."
            )
    return gradients
