"""One backward pass through the encoders where the weights are known beforehand."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

from mmpareto.balancing import LossWeighting
from mmpareto.gradients import Gradients, add, outside
from mmpareto.step._step import Step


def pass_summed(step: Step, method: LossWeighting) -> dict[Tensor, Tensor]:
    """Adds up the weighted losses first, and differentiates their sum.

    Args:
        step: What agreed on what each objective reaches.
        method: Knows the weights in the encoders; what is in none receives the plain sum.

    Returns:
        What is to be added to ``.grad``, by parameter.
    """
    weights = method.loss_weights(list(step.reach))
    inside = step.encoded
    rest = outside(dict.fromkeys(chain.from_iterable(step.reach.values())), set(inside))
    total: dict[Tensor, Tensor] = {}
    if len(set(weights)) == 1:  # one pass serves encoders and the rest
        gradients = _collect(step, [1.0] * len(weights), [*inside, *rest], step.retain_graph)
        add(total, {parameter: gradients.pop(parameter) for parameter in inside}, weights[0])
        add(total, gradients)
        return total
    add(total, _collect(step, weights, inside, step.retain_graph or bool(rest)))
    add(total, _collect(step, [1.0] * len(weights), rest, step.retain_graph))
    return total


def _collect(
    step: Step, weights: list[float], leaves: list[Tensor], retain_graph: bool
) -> Gradients:
    loss = _weighted_sum(list(map(step.losses.get, step.reach)), weights)
    gradients, _ = step.communicator.collect(loss, leaves, retain_graph=retain_graph)
    return step.communicator.average(gradients)


@torch.enable_grad()  # BalancedLoss calls from within a backward pass
def _weighted_sum(losses: list[Tensor | None], weights: list[float]) -> Tensor | None:
    """The losses that this process has; None where all of them have no weight."""
    terms = []
    for loss, weight in zip(losses, weights, strict=True):
        if loss is not None and weight != 0:
            terms.append(weight * loss.reshape(()))
    return torch.stack(terms).sum() if terms else None
