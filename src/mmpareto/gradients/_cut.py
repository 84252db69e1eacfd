"""Where the part of a graph begins that belongs to one encoder alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from mmpareto.gradients._graph import leaf_of

_Part = tuple[str, bool] | Literal["shared"] | None
"""What a node leads to: an encoder's parameters alone, with or without such as are to stay above; others; nothing."""


@dataclass(frozen=True)
class Cut:
    """A set of edges below which a graph falls apart into encoders.

    Attributes:
        edges: For each encoder the edges through which losses reach what is below, to be given to
            ``torch.autograd.grad``; as high up in the graph as they can be.
        above: For each encoder, parameters that are above nevertheless, because others that are to
            stay there are below them.
        entangled: For each encoder, parameters that meet something else than this encoder before
            any edge.
    """

    edges: dict[str, list[GradientEdge]]
    above: dict[str, list[Tensor]]
    entangled: dict[str, list[Tensor]]


def cut(losses: Iterable[Tensor], owner: Mapping[Tensor, tuple[str, bool]]) -> Cut:
    """Cuts a graph below some parameters of its encoders.

    Args:
        losses: Scalars that require gradient.
        owner: For each encoder's parameter the encoder, and whether it is to stay above. Other
            leaves belong to none.

    Example:
        >>> import torch
        >>> ear, top, head = (torch.nn.Linear(2, 2) for _ in range(3))
        >>> feature = ear(torch.ones(3, 2))
        >>> owner = {p: ("audio", False) for p in ear.parameters()} | {p: ("audio", True) for p in top.parameters()}
        >>> edges = cut([head(top(feature)).sum()], owner).edges
        >>> [edge.node is feature.grad_fn for edge in edges["audio"]]
        [True]
    """
    roots = [get_gradient_edge(loss) for loss in losses]
    parts = _parts([root.node for root in roots], owner)
    names = dict.fromkeys(name for name, _ in owner.values())
    found = Cut(
        {name: [] for name in names}, {name: [] for name in names}, {name: [] for name in names}
    )
    entries = [
        (parts[n], GradientEdge(child, i))
        for n in parts
        for child, i in n.next_functions
        if child is not None
    ]
    for part, edge in [*(("shared", root) for root in roots), *entries]:
        below = parts[edge.node]
        if not isinstance(below, tuple) or below[1] or part == below:
            continue
        name, leaf = below[0], leaf_of(edge.node)
        if leaf is None:
            found.edges[name].append(edge)
        else:
            (found.entangled if part == "shared" else found.above)[name].append(leaf)
    return Cut(
        *(
            {name: list(dict.fromkeys(values)) for name, values in kind.items()}
            for kind in vars(found).values()
        )
    )


def _parts(roots: list[Node], owner: Mapping[Tensor, tuple[str, bool]]) -> dict[Node, _Part]:
    parts: dict[Node, _Part] = {}
    stack = [(node, False) for node in roots]
    while stack:
        node, expanded = stack.pop()
        if node in parts:
            continue
        children = [child for child, _ in node.next_functions if child is not None]
        if not expanded:
            stack.append((node, True))
            stack.extend((child, False) for child in children if child not in parts)
            continue
        found = [parts[child] for child in children]
        if (leaf := leaf_of(node)) is not None:
            found.append(owner.get(leaf, "shared"))
        parts[node] = _joined(found)
    return parts


def _joined(parts: list[_Part]) -> _Part:
    distinct = {part for part in parts if part is not None}
    if "shared" in distinct or len({part[0] for part in distinct}) > 1:
        return "shared"
    return max(distinct, default=None)  # of one encoder: above if any part is
