"""Where the part of a graph begins that all objectives can pass together, encoder by encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from mmpareto.gradients._select import outside
from mmpareto.gradients._torch_compat import leaf_of

Value = TypeVar("Value")

_MIXED = ""
"""What a node leads to that no single encoder owns below; encoders' names are never empty."""


@dataclass(frozen=True)
class GraphCut:
    """Values of a graph below which it falls apart into encoders.

    Every path from a loss to a parameter below passes exactly one of the values, so that the
    gradients at the values carry all that the parameters below need, once.

    Attributes:
        edges: For each encoder the values, to be given to ``torch.autograd.grad``.
        above: For each encoder those of its parameters that cannot be below: a path reaches them
            past the values.
    """

    edges: dict[str, list[GradientEdge]]
    above: dict[str, list[Tensor]]


def cut_graph(losses: Iterable[Tensor], owner: Mapping[Tensor, str]) -> GraphCut:
    """Cuts a graph as high up as encoders allow, in time linear in its size.

    A node is lower if it leads to parameters of one encoder alone. Lower nodes that are entered
    from elsewhere are where that part begins; but one of them may lie below another, as with a
    skip connection or losses that leave an encoder at two depths, and what passes both would be
    counted twice. So a node whose parents are partly lower and partly not lifts all its parents
    out of the lower part, until every lower node has either lower parents alone or none.

    Args:
        losses: Scalars that require gradient.
        owner: The encoder of each parameter that is to be below. Other leaves belong to none.

    Example:
        >>> import torch
        >>> ear, top, head = (torch.nn.Linear(2, 2) for _ in range(3))
        >>> feature = ear(torch.ones(3, 2))
        >>> owner = {parameter: "audio" for parameter in ear.parameters()}
        >>> cut = cut_graph([head(top(feature)).sum()], owner)
        >>> [edge.node is feature.grad_fn for edge in cut.edges["audio"]]
        [True]
    """
    roots = list(map(get_gradient_edge, losses))
    parts = _parts(roots, owner)
    entries = _entries(roots, parts)
    upper = _lifted(entries, parts)
    edges: dict[str, dict[GradientEdge, None]] = defaultdict(dict)
    above: dict[str, dict[Tensor, None]] = defaultdict(dict)
    for parent, edge in entries:
        part = parts[edge.node]
        if part is None or part == _MIXED or edge.node in upper:
            continue
        if parent is None or parts[parent] == _MIXED or parent in upper:
            leaf = leaf_of(edge.node)
            if leaf is None:
                edges[part][edge] = None
            else:
                above[part][leaf] = None
    return GraphCut(_listed(edges), _listed(above))


def _listed(sets: Mapping[str, dict[Value, None]]) -> dict[str, list[Value]]:
    return {name: list(values) for name, values in sets.items()}


def _parts(roots: list[GradientEdge], owner: Mapping[Tensor, str]) -> dict[Node, str | None]:
    """For each node the encoder that it leads to alone; mixed; or None if it leads nowhere."""
    parts: dict[Node, str | None] = {}
    stack = [root.node for root in roots]
    while stack:
        node = stack[-1]
        waiting = outside(_children(node), parts)
        if waiting and node not in parts:
            stack.extend(waiting)
            continue
        stack.pop()
        if node not in parts:
            parts[node] = _part(node, parts, owner)
    return parts


def _part(node: Node, parts: Mapping[Node, str | None], owner: Mapping[Tensor, str]) -> str | None:
    leaf = leaf_of(node)
    if leaf is not None:
        return owner.get(leaf, _MIXED)
    distinct = {parts[child] for child in _children(node)} - {None}
    return _MIXED if len(distinct) > 1 else next(iter(distinct), None)


Entry = tuple[Node | None, GradientEdge]
"""A node, None for a loss itself, with a value that it takes its gradient on to."""


def _entries(roots: list[GradientEdge], parts: Iterable[Node]) -> list[Entry]:
    entries: list[Entry] = list(zip(repeat(None), roots, strict=False))
    for node in parts:
        for child, number in node.next_functions:
            if child is not None:
                entries.append((node, GradientEdge(child, number)))
    return entries


def _lifted(entries: list[Entry], parts: Mapping[Node, str | None]) -> set[Node]:
    """Lower nodes that have to be passed for each objective by itself after all."""
    lower_parents: dict[Node, list[Node]] = defaultdict(list)
    waiting: list[Node] = []  # lower nodes that are entered from outside the lower part
    for parent, edge in entries:
        if parts[edge.node] in (None, _MIXED):
            continue
        if parent is None or parts[parent] == _MIXED:
            waiting.append(edge.node)
        else:
            lower_parents[edge.node].append(parent)
    upper: set[Node] = set()
    while waiting:
        for parent in lower_parents[waiting.pop()]:
            if parent not in upper:
                upper.add(parent)
                waiting.append(parent)  # what is above it is no longer lower either
                waiting.extend(_children(parent))
    return upper


def _children(node: Node) -> Iterator[Node]:
    for child, _ in node.next_functions:
        if child is not None:
            yield child
