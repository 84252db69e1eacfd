"""One backward pass, for all objectives together, through most of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mmpareto.distributed import unite
from mmpareto.errors import MMParetoError
from mmpareto.gradients import (
    Gradients,
    add,
    among,
    collect_below,
    combine,
    cut_graph,
    gramians,
    outside,
    pop_all,
    side_by_side,
)
from mmpareto.step._step import ReachedEncoder, Step
from mmpareto.step._weighing import Rows, Weigher, check_probed, without_none


@dataclass(frozen=True)
class _Cut:
    """Where objectives part.

    Attributes:
        edges: For each encoder values of the graph down to which each objective is passed by
            itself, and below which all are passed together.
        above: For each encoder its parameters above them, the same on all processes.
    """

    edges: Mapping[str, list[GradientEdge]]
    above: Mapping[str, list[Tensor]]


@dataclass(frozen=True)
class _Upper:
    """Gradients of one objective above the cut.

    Attributes:
        gradients: By parameter, averaged over processes.
        at_edges: At the values of the cut, of this process.
    """

    gradients: Gradients
    at_edges: dict[GradientEdge, Tensor | None]


def check_sharing(step: Step) -> None:
    """Raises unless a pass through the encoders can be shared."""
    if step.communicator.sharded:
        raise MMParetoError(
            "Parameters should not be sharded for a geometry with `probe` or `every`: gradients at "
            "a cut of the graph are out of reach there. Found sharded ones. Do without them."
        )


def pass_shared(step: Step, weigher: Weigher) -> dict[Tensor, Tensor]:
    """Differentiates each objective down to a cut of the graph, their weighted sum below it.

    Args:
        step: What agreed on what each objective reaches.
        weigher: Weighs the objectives on each encoder, by the gradients above the cut, or as
            remembered.

    Returns:
        What is to be added to ``.grad``, by parameter.
    """
    cut = _agree_on_cut(step, _kept_above(step, weigher))
    above = set(chain.from_iterable(cut.above.values()))
    below = set(outside(step.encoded, above))
    upper = _pass_above(step, cut, below)

    total: dict[Tensor, Tensor] = {}
    at_edges: dict[GradientEdge, Tensor] = {}
    for name, encoder in step.encoders.items():
        on_parameters, on_edges = _balance(name, encoder, cut, upper, weigher)
        total |= on_parameters
        at_edges |= on_edges
    with torch.no_grad():
        for part in upper.values():
            add(total, part.gradients)
    ordered = among(step.partition.parameters, below)
    lower = collect_below(at_edges, ordered, retain_graph=step.retain_graph)
    with torch.no_grad():
        add(total, step.communicator.average(lower))  # which copies: a buffer may serve for two
    return total


def _kept_above(step: Step, weigher: Weigher) -> dict[str, list[Tensor]]:
    """For each encoder the parameters whose gradients the weights are measured by."""
    probe: Mapping[str, Sequence[Tensor]] = step.geometry.probe or {}
    kept: dict[str, list[Tensor]] = {}
    for name, encoder in step.encoders.items():
        probed = set(probe.get(name, encoder.parameters))
        kept[name] = among(encoder.parameters, probed) if weigher.remembered is None else []
    return kept


def _agree_on_cut(step: Step, above: dict[str, list[Tensor]]) -> _Cut:
    """Cuts the graph below `above`, and below what cannot be shared on some process."""
    while True:
        owner: dict[Tensor, str] = {}
        proposed: dict[str, list[Tensor]] = {}
        for name, encoder in step.encoders.items():
            owner |= dict.fromkeys(outside(encoder.parameters, set(above[name])), name)
        cut = cut_graph(step.losses.values(), owner)
        for name, kept in above.items():
            proposed[name] = kept + cut.above.get(name, [])
        agreed = unite(step.communicator, step.partition, proposed)
        if sum(map(len, agreed.values())) == sum(map(len, above.values())):
            return _Cut(cut.edges, above)
        above = agreed


def _pass_above(step: Step, cut: _Cut, below: set[Tensor]) -> dict[str, _Upper]:
    edges = list(chain.from_iterable(cut.edges.values()))
    begun = {}
    at_edges = {}
    for name, leaves in step.reach.items():
        gradients, values = step.communicator.collect(
            step.losses.get(name),
            outside(leaves, below),
            edges,
            retain_graph=step.retains(name),
        )
        at_edges[name] = dict(zip(edges, values, strict=True))
        # While the next is differentiated.
        begun[name] = step.communicator.begin_average(gradients, name)
    return {name: _Upper(finish(), at_edges[name]) for name, finish in begun.items()}


@torch.no_grad()
def _balance(
    name: str, encoder: ReachedEncoder, cut: _Cut, upper: Mapping[str, _Upper], weigher: Weigher
) -> tuple[dict[Tensor, Tensor], dict[GradientEdge, Tensor]]:
    """Weighted sums of the gradients above the cut: by parameter, and at its values."""
    parameters, edges = cut.above[name], cut.edges.get(name, [])
    rows: Rows = []
    for objective in encoder.objectives:
        rows.append(pop_all(upper[objective].gradients, parameters))
    measured = None
    if weigher.remembered is None:
        check_probed(name, encoder.objectives, rows)
    buckets = side_by_side(rows, [name] * len(parameters))
    split = len(buckets.groups)
    if weigher.remembered is None:
        measured = gramians(buckets.rows).sum(0, keepdim=True)
    for row, objective in zip(buckets.rows, encoder.objectives, strict=True):
        row.extend(map(upper[objective].at_edges.__getitem__, edges))
    weights = weigher.weigh(name, encoder.objectives, measured, buckets.rows)
    combined = combine(buckets.rows, weights)
    on_parameters = dict(zip(parameters, buckets.apart(combined[:split]), strict=True))
    on_edges = dict(zip(edges, combined[split:], strict=True))
    return without_none(on_parameters), without_none(on_edges)
