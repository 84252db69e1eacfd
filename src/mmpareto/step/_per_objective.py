"""From each objective's gradients to one, encoder by encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmpareto.balancing import GradientIntegration, LossWeighting
from mmpareto.distributed import Ranks
from mmpareto.gradients import Gradients, add, combine, gramians
from mmpareto.partition import Partition
from mmpareto.step._report import EncoderReport, StepReport

Rows = dict[str, list[Tensor | None]]
"""For each objective its gradient for each of an encoder's T parameter tensors."""


def integrate(
    method: GradientIntegration | LossWeighting,
    partition: Partition,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    take: Callable[[str], Gradients],
) -> StepReport:
    """Combines the objectives' gradients on each encoder, adds up the rest, and writes both into ``.grad``.

    An encoder is settled as soon as the last objective that reaches it is known, and its gradients
    are released.

    Args:
        method: What weights them.
        partition: The encoders.
        ranks: The processes that agreed on `reach`.
        reach: For each objective the leaves that its gradient reaches.
        take: Gives this process's gradients of an objective, for all these leaves; asked once each,
            in order.

    Returns:
        The geometry of this step.
    """
    live, objectives = partition.reached(reach), partition.objectives(reach)
    due = {encoder: len(names) for encoder, names in objectives.items()}
    held: dict[str, Rows] = defaultdict(dict)
    balanced: dict[Tensor, Tensor] = {}  # what the encoders will receive
    total: dict[Tensor, Tensor] = {}  # and what is in no encoder
    reports: dict[str, EncoderReport] = {}
    for objective, gradient in ranks.averages(reach, take):
        encoders = [encoder for encoder, names in objectives.items() if objective in names]
        for encoder in encoders:
            held[encoder][objective] = [gradient.pop(p, None) for p in live[encoder]]
        add(total, gradient)
        known = {
            encoder: _present(held.pop(encoder))
            for encoder in encoders
            if len(held[encoder]) == due[encoder]
        }
        settled = {encoder: rows for encoder, rows in known.items() if rows}
        parts = [gramians(list(rows.values())) for rows in settled.values()]
        for encoder, products in zip(
            list(settled), ranks.complete(parts, [live[e] for e in settled]), strict=True
        ):
            combined, reports[encoder] = _settle(method, settled.pop(encoder), products)
            balanced |= {
                p: g for p, g in zip(live[encoder], combined, strict=True) if g is not None
            }
    ranks.assign(balanced | total)
    return StepReport(reports)


def _present(gradients: Rows) -> Rows:
    """Without objectives that have no gradient here after all: a custom function may return none."""
    return {
        name: row
        for name, row in gradients.items()
        if any(gradient is not None for gradient in row)
    }


@torch.no_grad()
def _settle(
    method: GradientIntegration | LossWeighting, gradients: Rows, products: Tensor
) -> tuple[list[Tensor | None], EncoderReport]:
    """Combines the objectives' gradients on one encoder, releasing them."""
    names, rows = tuple(gradients), list(gradients.values())
    gradients.clear()
    if isinstance(method, GradientIntegration):
        weights = method.weights(products)
    else:
        fixed = method.loss_weights(names)
        weights = torch.stack([products.new_full((), weight) for weight in fixed])
        for row, weight in zip(rows, fixed, strict=True):
            if weight == 0:  # measured, but no part of the sum: 0 times infinity would be
                row[:] = [None] * len(row)
    return combine(rows, weights), EncoderReport(names, products.sum(0), weights)
