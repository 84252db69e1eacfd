"""One backward pass per objective through whatever it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, compress

import torch
from torch import Tensor

from mmpareto.distributed import Finish, Shares, fills_bucket
from mmpareto.gradients import (
    Buckets,
    Gradients,
    add,
    among,
    combine,
    gramians,
    pop_all,
    side_by_side,
)
from mmpareto.step._step import Step
from mmpareto.step._weighing import Weigher, check_probed, without_none


def pass_per_objective(
    step: Step, weigher: Weigher, take: Callable[[str], Gradients]
) -> dict[Tensor, Tensor]:
    """Combines the objectives' gradients on each encoder, and adds up what is in none.

    An encoder is settled as soon as the last objective that reaches it is known, and its gradients
    are released.

    Args:
        step: What agreed on what each objective reaches.
        weigher: Weighs the objectives on each encoder.
        take: Gives this process's gradients of an objective; asked once each, in order.

    Returns:
        What is to be added to ``.grad``, by parameter.
    """
    shares = Shares(step.communicator, step.groups())
    held: dict[str, dict[str, list[Tensor | None]]] = defaultdict(dict)
    begun: list[Finish] = []
    for objective, gradient in _averages(step, shares, take, begun):
        complete = {}
        for name, encoder in step.encoders.items():
            if objective in encoder.objectives:
                held[name][objective] = pop_all(gradient, encoder.parameters)
                if len(held[name]) == len(encoder.objectives):
                    complete[name] = held.pop(name)
        begun.append(shares.begin_union(_settle(step, weigher, shares, complete)))
    total: Gradients = {}
    for finish in begun:
        total |= finish()
    return without_none(total)


def _averages(
    step: Step, shares: Shares, take: Callable[[str], Gradients], begun: list[Finish]
) -> Iterator[tuple[str, Gradients]]:
    """Each objective's gradients on encoders, averaged while the next objective is differentiated.

    What is in no encoder is added up over objectives first, and averaged when it is complete.

    Args:
        step: What agreed on what each objective reaches.
        shares: What averages them.
        take: Gives this process's gradients of an objective.
        begun: Is given what averages the sum of what is in no encoder.
    """
    rest: dict[Tensor, Tensor] = {}
    complete: Gradients = {}
    previous: tuple[str, Finish] | None = None
    for name in step.reach:
        gradients = take(name)
        outer = among(step.reach[name], step.outer)
        add(rest, dict(zip(outer, pop_all(gradients, outer), strict=True)))
        for leaf in outer:
            if step.outer[leaf] == name:
                complete[leaf] = rest.pop(leaf, None)
        if fills_bucket(complete):
            begun.append(step.communicator.begin_average(complete))
            complete = {}
        finish = shares.begin_average(gradients, name)
        if step.communicator.group is None:  # no second objective's gradients are held
            yield name, finish()
            continue
        if previous is not None:
            yield previous[0], previous[1]()
        previous = name, finish
    begun.append(step.communicator.begin_average(complete))
    if previous is not None:
        yield previous[0], previous[1]()


@torch.no_grad()
def _settle(
    step: Step,
    weigher: Weigher,
    shares: Shares,
    complete: dict[str, dict[str, list[Tensor | None]]],
) -> dict[Tensor, Tensor]:
    """Combines the gradients on encoders of which all objectives are known, releasing them."""
    for name in list(complete):
        _drop_absent(complete[name])
        if not complete[name]:
            del complete[name]
    held = {name: _buckets(step, name, gradients) for name, gradients in complete.items()}
    products = _measure(step, weigher, shares, held)
    balanced: dict[Tensor, Tensor] = {}
    for name, gradients in complete.items():
        buckets = held.pop(name)
        weights = weigher.weigh(name, tuple(gradients), products.get(name), buckets.rows)
        combined = buckets.apart(combine(buckets.rows, weights))
        balanced |= without_none(dict(zip(step.encoders[name].parameters, combined, strict=True)))
    return balanced


def _buckets(step: Step, name: str, gradients: dict[str, list[Tensor | None]]) -> Buckets:
    """The gradients on an encoder in buckets, those of its probe apart; taken from `gradients`."""
    parameters, probe = step.encoders[name].parameters, step.geometry.probe
    groups = [True] * len(parameters)
    if probe is not None and name in probe:
        groups = list(map(set(probe[name]).__contains__, parameters))
        check_probed(name, gradients, [list(compress(row, groups)) for row in gradients.values()])
    return side_by_side(list(gradients.values()), groups, joined=not step.per_tensor)


def _drop_absent(gradients: dict[str, list[Tensor | None]]) -> None:
    """Drops objectives that have no gradient here after all: a function may return none."""
    for objective in list(gradients):
        if all(gradient is None for gradient in gradients[objective]):
            del gradients[objective]


def _measure(
    step: Step, weigher: Weigher, shares: Shares, held: Mapping[str, Buckets]
) -> dict[str, Tensor]:
    """Gramians [T, m, m] of each encoder, over all processes; none where weights are remembered."""
    if weigher.remembered is not None:
        return {}
    parts, measured = [], []
    for name, buckets in held.items():
        rows = [list(compress(row, buckets.groups)) for row in buckets.rows]
        products = gramians(rows)
        # Buckets are each process's own affair.
        parts.append(products if step.per_tensor else products.sum(0, keepdim=True))
        numbers = chain.from_iterable(compress(buckets.numbers, buckets.groups))
        measured.append(list(map(step.encoders[name].parameters.__getitem__, numbers)))
    return dict(zip(held, shares.complete(parts, measured), strict=True))
