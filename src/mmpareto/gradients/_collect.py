"""The gradient of one objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mmpareto.errors import MMParetoError
from mmpareto.gradients._compiled import keep_buffers

Gradients = dict[Tensor, Tensor | None]
"""By parameter, of the same shape; None where the objective does not depend on it."""


def collect(loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool) -> Gradients:
    """Gradient of one objective with respect to `parameters`, in one autograd pass; ``.grad`` is not touched.

    Args:
        loss: Scalar objective.
        parameters: Leaf tensors.
        retain_graph: Whether a later objective still needs the graph.

    Returns:
        The gradient by parameter. Autograd may hand out one buffer twice, or a view: the gradients
        are to be read, never written in place.

    Raises:
        MMParetoError: If the graph cannot be passed several times, or a gradient is sparse or
            complex.

    Example:
        >>> import torch
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> collect(w.square().sum(), [w], retain_graph=False)[w]
        tensor([2., 4.])
    """
    if not parameters:
        return {}
    if retain_graph:
        keep_buffers(loss)
    with _explained():
        gradients = torch.autograd.grad(
            loss, parameters, retain_graph=retain_graph, allow_unused=True
        )
    return _dense(dict(zip(parameters, gradients, strict=True)))


def collect_above(
    loss: Tensor, parameters: Sequence[Tensor], edges: Sequence[GradientEdge], *, retain_graph: bool
) -> tuple[Gradients, list[Tensor | None]]:
    """The same of what is above some edges of the graph, with the gradient at these; what is below them is kept.

    Args:
        loss: Scalar objective.
        parameters: Leaf tensors above the edges.
        edges: Of the graph.
        retain_graph: Whether a later objective still needs what is above them.

    Returns:
        The gradient by parameter, and at each edge.
    """
    if retain_graph:
        keep_buffers(loss)
    inputs: list[Any] = [*parameters, *edges]
    with _explained():
        found: tuple[Tensor | None, ...] = torch.autograd.grad(
            loss, inputs, retain_graph=retain_graph, allow_unused=True
        )
    return _dense(dict(zip(parameters, found, strict=False))), list(found[len(parameters) :])


def collect_below(
    cotangents: Mapping[GradientEdge, Tensor], parameters: Sequence[Tensor], *, retain_graph: bool
) -> Gradients:
    """The gradients of what is below some edges of a graph, from the cotangents there.

    Args:
        cotangents: For each edge the gradient of the objective at it.
        parameters: Leaf tensors.
        retain_graph: Whether to keep the graph.

    Returns:
        The gradient by parameter.
    """
    if not cotangents or not parameters:
        return dict.fromkeys(parameters)
    edges, at = list(cotangents), list(cotangents.values())
    with _explained():
        gradients = torch.autograd.grad(
            edges, parameters, at, retain_graph=retain_graph, allow_unused=True
        )
    return _dense(dict(zip(parameters, gradients, strict=True)))


def collect_by_backward(
    loss: Tensor, parameters: Sequence[Tensor], *, retain_graph: bool
) -> Gradients:
    """The same by ``.backward()``, for parameters whose module gathers them before, and shards their gradients after.

    The graph then ends in gathered copies, out of reach of ``torch.autograd.grad``. What is in
    ``.grad`` is put aside and put back, whatever happens.

    Args:
        loss: Scalar objective.
        parameters: The model's trainable parameters.
        retain_graph: Whether a later objective still needs the graph.

    Returns:
        The gradient by parameter, sharded as they are.

    Raises:
        MMParetoError: As for `collect`.
    """
    kept = [parameter.grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.grad = None
        if retain_graph:
            keep_buffers(loss)
        with _explained():
            loss.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        return _dense({parameter: parameter.grad for parameter in parameters})
    finally:
        for parameter, gradient in zip(parameters, kept, strict=True):
            parameter.grad = gradient


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "donated buffer" not in str(error):
            raise
        raise MMParetoError(
            "A compiled module should keep its buffers for several backward passes. Found donated "
            "ones. Put `torch._functorch.config.donated_buffer = False` before the module is first "
            "called."
        ) from error


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
