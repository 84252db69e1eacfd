"""One training step: from losses to one balanced gradient in ``.grad``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmpareto.balancing import GradientIntegration, GramianWeighting, LossWeighting, Method, as_method
from mmpareto.gradients import accumulate, add, collect, combine, gramians
from mmpareto.objectives import Objective, check_objectives
from mmpareto.partition import Encoder, Partition, as_partition
from mmpareto.step_report import EncoderReport, StepReport


def backward(
    losses: Mapping[str, Tensor],
    encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
    method: Method | GramianWeighting,
    *,
    geometry: bool = True,
    retain_graph: bool = False,
) -> StepReport:
    """Differentiates all losses and writes one balanced gradient into ``.grad``, in place of ``loss.backward()``.

    Each encoder receives the combination of objectives that `method` chooses from their geometry; where dense
    interaction lets several unimodal losses reach an encoder, all of them take part. What is in no encoder
    (fusion, heads) receives the plain sum of all objectives' gradients. As with autograd, gradients are added
    to what is in ``.grad``. The device is never waited for.

    Args:
        losses: Scalar losses: ``"joint"``, and one per modality under the names used in `encoders`. A modality
            that is missing in this batch is an absent key.
        encoders: A `Partition`, or a mapping (or ModuleDict) from modality to its encoder as a module or
            parameters. Frozen encoders are skipped.
        method: A method of this library, or a callable from a Gramian [m, m] to weights [m].
        geometry: Whether to measure the gradients' geometry even if `method` does not depend on it. Without,
            `Joint`, `Uniform` and `ScaledUniform` cost the encoders one backward pass in place of one per
            objective, and the report is empty.
        retain_graph: Whether to keep the graph for further use, as in ``Tensor.backward``.

    Returns:
        The geometry of this step, per encoder, as tensors on the device.

    Raises:
        MMParetoError: If the losses, encoders or method do not fit together. No ``.grad`` was changed then.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, eye, head = nn.Linear(4, 2), nn.Linear(3, 2), nn.Linear(4, 1)
        >>> audio, visual = ear(torch.randn(8, 4)), eye(torch.randn(8, 3))
        >>> joint = head(torch.cat([audio, visual], dim=1))
        >>> losses = {"joint": joint.mean(), "audio": audio.mean(), "visual": visual.mean()}
        >>> report = mp.backward(losses, {"audio": ear, "visual": eye}, mp.MMPareto())
        >>> report["audio"].objectives, ear.weight.grad.shape, head.weight.grad.shape
        (('joint', 'audio'), torch.Size([2, 4]), torch.Size([1, 4]))
    """
    partition, method = as_partition(encoders), as_method(method)
    objectives = check_objectives(losses, partition)
    if isinstance(method, LossWeighting) and not geometry:
        _backward_weighted(objectives, partition, method, retain_graph)
        return StepReport({})

    reached = {leaf for objective in objectives for leaf in objective.leaves}
    live = {encoder: [p for p in parameters if p in reached] for encoder, parameters in partition.items()}
    touched = {objective.name: _reaches(objective, live) for objective in objectives}
    due = Counter(encoder for encoders in touched.values() for encoder in encoders)
    held: dict[str, dict[str, list[Tensor | None]]] = defaultdict(dict)
    balanced: dict[Tensor, Tensor] = {}  # what the encoders will receive
    total: dict[Tensor, Tensor] = {}  # and what is in no encoder
    reports: dict[str, EncoderReport] = {}
    for objective in objectives:
        last = objective is objectives[-1]
        gradient = collect(objective.loss, objective.leaves, retain_graph=retain_graph or not last)
        for encoder in touched[objective.name]:
            held[encoder][objective.name] = [gradient.pop(p, None) for p in live[encoder]]
            if len(held[encoder]) < due[encoder]:
                continue
            gradients = held.pop(encoder)  # an encoder is settled as soon as its last objective is known
            if any(g is not None for row in gradients.values() for g in row):  # a custom function may return none
                combined, reports[encoder] = _integrate(method, gradients)
                balanced |= {p: g for p, g in zip(live[encoder], combined, strict=True) if g is not None}
        add(total, gradient)
    accumulate(balanced | total)
    return StepReport(reports)


@torch.no_grad()
def _integrate(
    method: GradientIntegration | LossWeighting, gradients: dict[str, list[Tensor | None]]
) -> tuple[list[Tensor | None], EncoderReport]:
    """Combines the objectives' gradients on one encoder, releasing them."""
    names, rows = tuple(gradients), list(gradients.values())
    gradients.clear()
    products = gramians(rows)
    if isinstance(method, GradientIntegration):
        weights = method.weights(products)
    else:
        fixed = method.loss_weights(names)
        weights = torch.stack([products.new_full((), weight) for weight in fixed])
        for row, weight in zip(rows, fixed, strict=True):
            if weight == 0:  # measured, but no part of the sum: 0 times infinity would be
                row[:] = [None] * len(row)
    return combine(rows, weights), EncoderReport(names, products.sum(0), weights)


def _backward_weighted(
    objectives: list[Objective], partition: Partition, method: LossWeighting, retain_graph: bool
) -> None:
    """The same where the weights are known beforehand: losses are added up first, then differentiated."""
    weights = method.loss_weights([objective.name for objective in objectives])
    leaves = dict.fromkeys(leaf for objective in objectives for leaf in objective.leaves)
    inside = [p for parameters in partition.values() for p in parameters if p in leaves]
    encoded = set(inside)
    outside = [leaf for leaf in leaves if leaf not in encoded]
    plain = _sum(objectives, [1.0] * len(objectives))
    total: dict[Tensor, Tensor] = {}
    if len(set(weights)) == 1:  # one pass serves encoders and the rest
        gradient = collect(plain, [*inside, *outside], retain_graph=retain_graph)
        add(total, {p: gradient.pop(p) for p in inside}, weights[0])
        add(total, gradient)
    else:  # the second pass ends at the encoders
        add(total, collect(_sum(objectives, weights), inside, retain_graph=retain_graph or bool(outside)))
        add(total, collect(plain, outside, retain_graph=retain_graph))
    accumulate(total)


def _sum(objectives: list[Objective], weights: list[float]) -> Tensor:
    terms = [weight * o.loss.reshape(()) for o, weight in zip(objectives, weights, strict=True) if weight]
    return torch.stack(terms).sum()


def _reaches(objective: Objective, live: Mapping[str, list[Tensor]]) -> list[str]:
    """The encoders that `objective` reaches."""
    leaves = set(objective.leaves)
    return [encoder for encoder, parameters in live.items() if not leaves.isdisjoint(parameters)]
