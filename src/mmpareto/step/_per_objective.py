"""One backward pass per objective through whatever it reaches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmpareto.gradients import Gradients, add, combine, gramians
from mmpareto.step._step import ReachedEncoder, Step
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
    held: dict[str, dict[str, list[Tensor | None]]] = {name: {} for name in step.encoders}
    balanced: dict[Tensor, Tensor] = {}
    rest: dict[Tensor, Tensor] = {}
    for objective, gradient in step.communicator.averages(step.reach, take):
        complete = {}
        for name, encoder in step.encoders.items():
            if objective in encoder.objectives:
                held[name][objective] = [gradient.pop(p, None) for p in encoder.parameters]
                if len(held[name]) == len(encoder.objectives):
                    complete[name] = held.pop(name)
        add(rest, gradient)
        balanced |= _settle(step, weigher, complete)
    return balanced | rest


@torch.no_grad()
def _settle(
    step: Step, weigher: Weigher, complete: dict[str, dict[str, list[Tensor | None]]]
) -> dict[Tensor, Tensor]:
    """Combines the gradients on encoders of which all objectives are known, releasing them."""
    present = {}
    for name, gradients in complete.items():
        received = _received(gradients)
        if received:
            present[name] = received
    complete.clear()
    products = _measure(step, weigher, present)
    balanced: dict[Tensor, Tensor] = {}
    for name in list(present):
        gradients = present.pop(name)
        objectives, rows = tuple(gradients), list(gradients.values())
        gradients.clear()
        weights = weigher.weigh(name, objectives, products.get(name), rows)
        parameters = step.encoders[name].parameters
        balanced |= without_none(dict(zip(parameters, combine(rows, weights), strict=True)))
    return balanced


def _received(gradients: dict[str, list[Tensor | None]]) -> dict[str, list[Tensor | None]]:
    """Without objectives that have no gradient here after all: a function may return none."""
    return {objective: row for objective, row in gradients.items() if _has_any(row)}


def _has_any(row: list[Tensor | None]) -> bool:
    return any(gradient is not None for gradient in row)


def _measure(
    step: Step, weigher: Weigher, gradients: dict[str, dict[str, list[Tensor | None]]]
) -> dict[str, Tensor]:
    """Gramians [T, m, m] of each encoder, over all processes; none where weights are remembered."""
    if weigher.remembered is not None:
        return {}
    parts, measured = [], []
    for name, rows in gradients.items():
        encoder = step.encoders[name]
        places = _probed(step, name, encoder)
        probed = [_at(places, row) for row in rows.values()]
        check_probed(name, rows, probed)
        parts.append(gramians(probed))
        measured.append([encoder.parameters[place] for place in places])
    return dict(zip(gradients, step.communicator.complete(parts, measured), strict=True))


def _at(places: list[int], row: list[Tensor | None]) -> list[Tensor | None]:
    return [row[place] for place in places]


def _probed(step: Step, name: str, encoder: ReachedEncoder) -> list[int]:
    """Places of the encoder's parameters at which its geometry is measured."""
    probe = step.geometry.probe
    if probe is None or name not in probe:
        return list(range(len(encoder.parameters)))
    inside = set(probe[name])
    return [place for place, p in enumerate(encoder.parameters) if p in inside]
