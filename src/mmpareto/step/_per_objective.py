"""One backward pass per objective through whatever it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from mmpareto.gradients import Gradients, add, among, combine, gramians
from mmpareto.partition import Partition
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
    held: dict[str, dict[str, list[Tensor | None]]] = defaultdict(dict)
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
    for name in list(complete):
        _drop_absent(complete[name])
        if not complete[name]:
            del complete[name]
    products = _measure(step, weigher, complete)
    balanced: dict[Tensor, Tensor] = {}
    for name in list(complete):
        gradients = complete.pop(name)
        objectives, rows = tuple(gradients), list(gradients.values())
        gradients.clear()
        weights = weigher.weigh(name, objectives, products.get(name), rows)
        parameters = step.encoders[name].parameters
        balanced |= without_none(dict(zip(parameters, combine(rows, weights), strict=True)))
    return balanced


def _drop_absent(gradients: dict[str, list[Tensor | None]]) -> None:
    """Drops objectives that have no gradient here after all: a function may return none."""
    for objective in list(gradients):
        if all(gradient is None for gradient in gradients[objective]):
            del gradients[objective]


def _measure(
    step: Step, weigher: Weigher, gradients: dict[str, dict[str, list[Tensor | None]]]
) -> dict[str, Tensor]:
    """Gramians [T, m, m] of each encoder, over all processes; none where weights are remembered."""
    if weigher.remembered is not None:
        return {}
    parts, measured = [], []
    for name, rows in gradients.items():
        parameters = step.encoders[name].parameters
        probed = _probed(step.geometry.probe, name, parameters)
        at_probe = _at_probe(name, rows, parameters, probed)
        parts.append(gramians(at_probe, per_tensor=step.per_tensor))
        measured.append(probed)
    return dict(zip(gradients, step.communicator.complete(parts, measured), strict=True))


def _at_probe(
    name: str,
    gradients: dict[str, list[Tensor | None]],
    parameters: list[Tensor],
    probed: list[Tensor],
) -> list[list[Tensor | None]]:
    rows = [_at(row, parameters, probed) for row in gradients.values()]
    check_probed(name, gradients, rows)
    return rows


def _probed(probe: Partition | None, name: str, parameters: list[Tensor]) -> list[Tensor]:
    """The parameters of an encoder on which its geometry is measured."""
    if probe is None or name not in probe:
        return parameters
    return among(parameters, set(probe[name]))


def _at(
    row: list[Tensor | None], parameters: list[Tensor], probed: list[Tensor]
) -> list[Tensor | None]:
    if probed is parameters:
        return row
    return list(map(dict(zip(parameters, row, strict=True)).__getitem__, probed))
