"""What an objective reaches."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils.checkpoint import CheckpointFunction

from mmpareto.errors import MMParetoError


def leaves(loss: Tensor) -> list[Tensor]:
    """Leaf tensors into which ``loss.backward()`` would accumulate.

    The graph alone is read, on the host: nothing is computed and no device is waited for.

    Args:
        loss: Scalar that requires gradient.

    Returns:
        The leaves, each once, in the order of a depth-first walk.

    Raises:
        MMParetoError: If a reentrant checkpoint hides a part of the graph.

    Example:
        >>> import torch
        >>> w, x = torch.ones(2, requires_grad=True), torch.ones(2)
        >>> [leaf is w for leaf in leaves((w * x).sum())]
        [True]
    """
    found = []
    for node in nodes(loss):
        if getattr(type(node), "_forward_cls", None) is CheckpointFunction:
            raise MMParetoError(
                "Activation checkpoints should not be reentrant: they hide which parameters an "
                "objective reaches, and support no torch.autograd.grad. Found one. Call "
                "torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
            )
        if (leaf := leaf_of(node)) is not None:
            found.append(leaf)
    return found


def nodes(loss: Tensor) -> Iterator[Node]:
    """The functions of a graph, each once, depth first."""
    root = get_gradient_edge(loss).node
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        yield node
        following = [
            child for child, _ in node.next_functions if child is not None and child not in seen
        ]
        seen.update(following)
        stack.extend(following)


def leaf_of(node: Node) -> Tensor | None:
    """The leaf into which a node accumulates; None for other nodes."""
    # What a custom autograd.Function keeps on its context shadows the node's own attributes, hence
    # the type's `name`.
    return node.variable if type(node).name(node) == "torch::autograd::AccumulateGrad" else None  # type: ignore[attr-defined]
