"""One backward pass, for all objectives together, through most of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mmpareto.balancing import GradientIntegration, Method, shortened
from mmpareto.distributed import Ranks
from mmpareto.errors import MMParetoError
from mmpareto.gradients import (
    Cut,
    Gradients,
    add,
    collect_above,
    collect_below,
    combine,
    cut,
    gramians,
)
from mmpareto.partition import Partition
from mmpareto.step._losses import needed_later
from mmpareto.step._report import EncoderReport, StepReport

Names = tuple[str, ...]
Weigh = Callable[[str, Names, list[list[Tensor | None]]], Tensor]
"""From an encoder, its objectives and their gradients at its top to weights [m]."""


def step_by_probe(
    losses: Mapping[str, Tensor],
    partition: Partition,
    method: GradientIntegration,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    *,
    retain_graph: bool,
) -> StepReport:
    """A step that measures the geometry at the top of each encoder, where its probe is and above."""
    reports: dict[str, EncoderReport] = {}
    probe: Mapping[str, Sequence[Tensor]] = method.probe or {}
    kept = {name: set(probe.get(name, parameters)) for name, parameters in partition.items()}

    def weigh(encoder: str, names: Names, rows: list[list[Tensor | None]]) -> Tensor:
        if without := [
            name
            for name, row in zip(names, rows, strict=True)
            if not any(g is not None for g in row)
        ]:
            raise MMParetoError(
                f"Probe of '{encoder}' should be reached by every objective of its encoder. Found "
                f"'{without[0]}', which passes it by. Choose another block, or do without `probe`."
            )
        products = gramians(rows)
        weights = method.weights(products)
        reports[encoder] = EncoderReport(names, products.sum(0), weights)
        return weights

    _step(losses, partition, ranks, reach, kept, weigh, retain_graph)
    return StepReport(reports)


def step_by_memory(
    losses: Mapping[str, Tensor],
    partition: Partition,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    *,
    retain_graph: bool,
) -> StepReport:
    """A step that weights as an earlier one did; it measures nothing."""
    kept: dict[str, set[Tensor]] = {name: set() for name in partition}
    known = partition.memory.weights
    _step(
        losses,
        partition,
        ranks,
        reach,
        kept,
        lambda encoder, names, rows: known[encoder][1],
        retain_graph,
    )
    return StepReport({})


def _step(
    losses: Mapping[str, Tensor],
    partition: Partition,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    kept: Mapping[str, set[Tensor]],
    weigh: Weigh,
    retain_graph: bool,
) -> None:
    """Differentiates every objective down to a cut of the graph, and their weighted sum below it."""
    live = partition.reached(reach)
    names = partition.objectives(reach)
    found = cut(
        losses.values(), {p: (name, p in kept[name]) for name, ps in live.items() for p in ps}
    )
    _check_cut(found)
    local = {
        name: [p for p in ps if p in kept[name]] + found.above.get(name, [])
        for name, ps in live.items()
    }
    above = (
        ranks.agree(lambda: local) if any(kept.values()) else local
    )  # a rank without the modality cannot tell
    below = {p for name, ps in live.items() for p in set(ps) - set(above[name])}
    edges = [edge for some in found.edges.values() for edge in some]
    later = needed_later({name: leaves for name, leaves in reach.items() if name in losses})
    begun: dict[str, Callable[[], Gradients]] = {}
    cotangents: dict[str, dict[GradientEdge, Tensor | None]] = {}
    for name, leaves in reach.items():
        upper = [leaf for leaf in leaves if leaf not in below]
        gradient: Gradients = dict.fromkeys(upper)
        cotangents[name] = dict.fromkeys(edges)
        if name in losses:
            kept_on = retain_graph or later[name]
            gradient, at_edges = collect_above(losses[name], upper, edges, retain_graph=kept_on)
            cotangents[name] = dict(zip(edges, at_edges, strict=True))
        begun[name] = ranks.begin_average(gradient)  # while the next objective is differentiated
    gradients = {name: finish() for name, finish in begun.items()}

    balanced: dict[Tensor, Tensor] = {}
    total: dict[Tensor, Tensor] = {}
    passed: dict[GradientEdge, Tensor] = {}
    with torch.no_grad():
        for name, objectives in names.items():
            rows = [
                [gradients[objective].pop(p, None) for p in above[name]] for objective in objectives
            ]
            weights = weigh(name, objectives, rows)
            combined = zip(above[name], combine(rows, weights), strict=True)
            balanced |= {p: gradient for p, gradient in combined if gradient is not None}
            own = found.edges.get(name, [])
            at_own = combine(
                [[cotangents[objective][edge] for edge in own] for objective in objectives], weights
            )
            passed |= {
                edge: cotangent
                for edge, cotangent in zip(own, at_own, strict=True)
                if cotangent is not None
            }
        for rest in gradients.values():
            add(total, rest)
    parameters = [p for p in partition.parameters if p in below]
    lower = ranks.average(collect_below(passed, parameters, retain_graph=retain_graph))
    ranks.assign(
        balanced | total | {p: gradient for p, gradient in lower.items() if gradient is not None}
    )


def _check_cut(found: Cut) -> None:
    for name, parameters in found.entangled.items():
        if parameters:
            raise MMParetoError(
                f"Encoder '{name}' should meet other modalities above what is differentiated once "
                f"for all objectives. Found {len(parameters)} of its parameters, the first of "
                f"shape {tuple(parameters[0].shape)}, that meet them directly, as with dense "
                "cross-modal interaction. Do without `probe` and `every` here."
            )


def check_shorter(method: Method, encoders: object, ranks: Ranks) -> None:
    """Raises unless `method` can have its `probe` and `every` with these encoders."""
    if not shortened(method):
        return
    if not isinstance(encoders, Partition):
        raise MMParetoError(
            "Parameter `encoders` should be a Partition, made once, for a method with `probe` or "
            "`every`: it keeps what was measured for the next steps. Found "
            f"{type(encoders).__name__}."
        )
    if ranks.sharded:
        raise MMParetoError(
            "Parameters should not be sharded for a method with `probe` or `every`: gradients at a "
            "cut of the graph are out of reach there. Found sharded ones. Do without them."
        )
    for name, parameters in (method.probe or {}).items():
        if name not in encoders:
            found = ", ".join(map(repr, encoders))
            raise MMParetoError(
                f"Parameter `probe` should name encoders, i.e. {found}. Found {name!r}."
            )
        if outside := len(set(parameters) - set(encoders[name])):
            raise MMParetoError(
                f"Probe of '{name}' should be a part of its encoder. Found {outside} of its "
                f"{len(parameters)} parameters outside."
            )
