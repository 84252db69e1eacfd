"""One training step: from losses to one balanced gradient in ``.grad``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmpareto.balancing import (
    GradientIntegration,
    GramianWeighting,
    LossWeighting,
    Method,
    as_method,
    check_required,
    shortened,
)
from mmpareto.distributed import Group, Ranks
from mmpareto.gradients import Gradients, add
from mmpareto.partition import Encoder, Partition, as_partition
from mmpareto.step._losses import check_objectives, needed_later
from mmpareto.step._per_objective import integrate
from mmpareto.step._report import StepReport
from mmpareto.step._shared_pass import check_shorter, step_by_memory, step_by_probe


def backward(
    losses: Mapping[str, Tensor],
    encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
    method: Method | GramianWeighting,
    *,
    geometry: bool = True,
    retain_graph: bool = False,
    group: Group = "default",
) -> StepReport:
    """Differentiates all losses and writes one balanced gradient into ``.grad``, in place of ``loss.backward()``.

    Each encoder receives the combination of objectives that `method` chooses from their geometry;
    all objectives whose gradients reach it take part, however many. What is in no encoder (fusion,
    heads) receives the plain sum of all objectives' gradients. As with autograd, gradients are
    added to what is in ``.grad``. The device is never waited for.

    With several processes each objective's gradient is first averaged over all of them, where a
    rank without the objective counts as zero; so no other averaging is needed, and
    DistributedDataParallel does none.

    Args:
        losses: Scalar losses by objective: ``"joint"``, and one per modality under the names used
            in `encoders`; for several tasks on one trunk, one per task. A modality that is missing
            in this batch is an absent key.
        encoders: A `Partition`, or a mapping (or ModuleDict) from modality to its encoder as a
            module or parameters. Frozen encoders are skipped.
        method: A method of this library, or a callable from a Gramian [m, m] to weights [m].
        geometry: Whether to measure the gradients' geometry even if `method` does not depend on it.
            Without, `Joint`, `Uniform` and `ScaledUniform` cost the encoders one backward pass in
            place of one per objective, and the report is empty.
        retain_graph: Whether to keep the graph for further use, as in ``Tensor.backward``.
        group: The process group over which gradients are averaged; ``"default"`` is the default one
            where it exists, None averages nothing.

    Returns:
        The geometry of this step, per encoder, as tensors on the device.

    Raises:
        MMParetoError: If the losses, encoders or method do not fit together. No ``.grad`` was
            changed then.

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
    ranks = Ranks(partition, group)
    check_shorter(method, encoders, ranks)
    reach = ranks.agree(
        lambda: {
            objective.name: objective.leaves for objective in check_objectives(losses, partition)
        }
    )
    check_required(method, reach)
    if isinstance(method, LossWeighting) and not geometry:
        _backward_weighted(losses, partition, method, ranks, reach, retain_graph)
        return StepReport({})

    if shortened(method):
        return _backward_shorter(losses, partition, method, ranks, reach, retain_graph)
    return _backward_exact(losses, partition, method, ranks, reach, retain_graph)


def _backward_exact(
    losses: Mapping[str, Tensor],
    partition: Partition,
    method: GradientIntegration | LossWeighting,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    retain_graph: bool,
) -> StepReport:
    """One pass per objective through whatever it reaches."""
    later = needed_later({name: leaves for name, leaves in reach.items() if name in losses})

    def take(name: str) -> Gradients:
        return ranks.collect(
            losses.get(name), reach[name], retain_graph=retain_graph or later.get(name, False)
        )

    return integrate(method, partition, ranks, reach, take)


def _backward_shorter(
    losses: Mapping[str, Tensor],
    partition: Partition,
    method: GradientIntegration,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    retain_graph: bool,
) -> StepReport:
    """The same where a part of the passes serves all objectives together."""
    memory = partition.memory
    known = {encoder: names for encoder, (names, _) in memory.weights.items()}
    if memory.age + 1 < method.every and known == partition.objectives(reach):
        memory.age += 1
        return step_by_memory(losses, partition, ranks, reach, retain_graph=retain_graph)
    if method.probe is None:
        report = _backward_exact(losses, partition, method, ranks, reach, retain_graph)
    else:
        report = step_by_probe(losses, partition, method, ranks, reach, retain_graph=retain_graph)
    memory.weights = {
        encoder: (measured.objectives, measured.applied) for encoder, measured in report.items()
    }
    memory.age = 0
    return report


def _backward_weighted(
    losses: Mapping[str, Tensor],
    partition: Partition,
    method: LossWeighting,
    ranks: Ranks,
    reach: Mapping[str, list[Tensor]],
    retain_graph: bool,
) -> None:
    """The same where the weights are known beforehand: losses are added up first, then differentiated."""
    weights = method.loss_weights(list(reach))
    leaves = dict.fromkeys(leaf for leaves in reach.values() for leaf in leaves)
    inside = [p for parameters in partition.values() for p in parameters if p in leaves]
    encoded = set(inside)
    outside = [leaf for leaf in leaves if leaf not in encoded]
    plain = _sum(list(losses.values()), [1.0] * len(losses))
    total: dict[Tensor, Tensor] = {}
    if len(set(weights)) == 1:  # one pass serves encoders and the rest
        gradient = ranks.average(
            ranks.collect(plain, [*inside, *outside], retain_graph=retain_graph)
        )
        add(total, {p: gradient.pop(p) for p in inside}, weights[0])
        add(total, gradient)
    else:  # the second pass ends at the encoders
        weighted = _sum([losses.get(name) for name in reach], weights)
        add(
            total,
            ranks.average(
                ranks.collect(weighted, inside, retain_graph=retain_graph or bool(outside))
            ),
        )
        add(total, ranks.average(ranks.collect(plain, outside, retain_graph=retain_graph)))
    ranks.assign(total)


@torch.enable_grad()  # BalancedLoss calls from within a backward pass
def _sum(losses: list[Tensor | None], weights: list[float]) -> Tensor | None:
    """Weighted sum of the losses that this process has; None where all of them have no weight."""
    pairs = zip(losses, weights, strict=True)
    terms = [weight * loss.reshape(()) for loss, weight in pairs if weight and loss is not None]
    return torch.stack(terms).sum() if terms else None
