"""What an objective reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from mmpareto.errors import MMParetoError
from mmpareto.gradients._torch_compat import (
    copy_saved_tensors,
    is_compiled,
    is_custom,
    is_reentrant_checkpoint,
    leaf_of,
    makes_up_zeros,
)


@dataclass(frozen=True)
class Graphs:
    """What the graphs of a step's losses tell.

    Attributes:
        reach: For each loss the leaf tensors into which its ``.backward()`` would accumulate, each
            once, in the order of a depth-first walk.
        custom: Whether functions written in Python are in them, which may write ``.grad``
            themselves.
        zeros: Whether leaves may receive a zero gradient that a wrapper makes up.
    """

    reach: dict[str, list[Tensor]]
    custom: bool = False
    zeros: bool = False


def read_graphs(losses: Mapping[str, Tensor]) -> Graphs:
    """Reads graphs on the host: nothing is computed, no device is waited for.

    Args:
        losses: Scalars that require gradient.

    Raises:
        MMParetoError: If a reentrant checkpoint hides a part of a graph.

    Example:
        >>> import torch
        >>> w, x = torch.ones(2, requires_grad=True), torch.ones(2)
        >>> read_graphs({"joint": (w * x).sum()}).reach["joint"][0] is w
        True
    """
    reach: dict[str, list[Tensor]] = {}
    custom = zeros = False
    for name, loss in losses.items():
        reach[name] = []
        for node in nodes(loss):
            leaf = leaf_of(node)
            if leaf is not None:
                reach[name].append(leaf)
            elif is_custom(node):
                _check_checkpoint(node)
                custom = True
                zeros = zeros or makes_up_zeros(node)
    return Graphs(reach, custom, zeros)


def nodes(loss: Tensor) -> Iterator[Node]:
    """The functions of a graph, each once, depth first."""
    root = get_gradient_edge(loss).node
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        yield node
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)


def keep_buffers(loss: Tensor) -> None:
    """Prepares a graph for several passes: compiled parts of it take copies of what they saved."""
    for node in nodes(loss):
        if is_compiled(node):
            copy_saved_tensors(node)


def _check_checkpoint(node: Node) -> None:
    if is_reentrant_checkpoint(node):
        raise MMParetoError(
            "Activation checkpoints should not be reentrant: they hide which parameters an "
            "objective reaches, and support no torch.autograd.grad. Found one. Call "
            "torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
        )
