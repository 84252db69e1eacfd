"""One training step: from losses to one balanced gradient in ``.grad``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmpareto.balancing import Balancer, GramianWeighting, LossWeighting, Method
from mmpareto.distributed import Communicator, Group, announce
from mmpareto.errors import MMParetoError
from mmpareto.gradients import not_compiled
from mmpareto.partition import Encoder, Partition, as_partition
from mmpareto.step._geometry import Geometry
from mmpareto.step._per_objective import pass_per_objective
from mmpareto.step._report import StepReport
from mmpareto.step._shared_pass import check_sharing, pass_shared
from mmpareto.step._step import Step, agree_on_step
from mmpareto.step._summed_pass import pass_summed

EVERY_STEP = Geometry()
"""Measures each step, and remembers nothing."""


@not_compiled
def backward(
    losses: Mapping[str, Tensor],
    encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
    method: Method | Balancer | GramianWeighting,
    *,
    geometry: Geometry | None = EVERY_STEP,
    retain_graph: bool = False,
    group: Group = None,
    average: bool = True,
) -> StepReport:
    """Differentiates all losses and writes one balanced gradient into ``.grad``.

    It stands in the place of ``loss.backward()``. Each encoder receives the combination of
    objectives that `method` chooses from their geometry: its own objective on one side, all others
    that reach it on the other (see `Geometry`). What is in no encoder (fusion, heads) receives the
    plain sum of all objectives' gradients. As with autograd, gradients are added to what is in
    ``.grad``. The device is never waited for.

    With several processes each objective's gradient is first averaged over all of them, where a
    process without the objective counts as zero; so no other averaging is needed, and
    DistributedDataParallel does none.

    Args:
        losses: Scalar losses by objective: ``"joint"``, and one per modality under the names used
            in `encoders`; for several tasks on one trunk, one per task. A modality that is missing
            in this batch is an absent key.
        encoders: A `Partition`, or a mapping (or ModuleDict) from modality to its encoder as a
            module or parameters. Frozen encoders are skipped.
        method: A method of this library; a `Balancer`, which is one at work on a model; or a
            callable from a Gramian [m, m] to weights [m].
        geometry: How the gradients' geometry is measured, by default in every step. None measures
            only what `method` depends on: `Joint`, `Uniform` and `ScaledUniform` then cost the
            encoders one backward pass in place of one per objective, and the report is empty.
        retain_graph: Whether to keep the graph for further use, as in ``Tensor.backward``.
        group: The process group over which gradients are averaged; None for the default group.
        average: Whether gradients are averaged over processes at all.

    Returns:
        The geometry of this step by encoder, as tensors on the device; empty if it was not
        measured.

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
    partition, communicator, measuring = _prepared(encoders, geometry, group, average)
    step = agree_on_step(
        losses, partition, method, measuring, communicator, retain_graph=retain_graph
    )
    measured = step.is_measured
    if isinstance(step.method, LossWeighting) and (geometry is None or not measured):
        gradients, report = _known_weights(step, step.method)
    elif measured:
        gradients, report = _measured_weights(step)
    else:
        gradients, report = _remembered_weights(step)
    step.write(gradients)
    step.geometry.count(step.method, partition, report if measured else None)
    return report


def as_geometry(geometry: Geometry | None) -> Geometry:
    """Returns `geometry`, or one that measures each step in its absence."""
    if geometry is None:
        return EVERY_STEP
    if not isinstance(geometry, Geometry):
        raise MMParetoError(
            "Parameter `geometry` should be an mmpareto.Geometry, or None to measure nothing that "
            f"the method does not need. Found {geometry!r}."
        )
    return geometry


def _prepared(
    encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
    geometry: Geometry | None,
    group: Group,
    average: bool,
) -> tuple[Partition, Communicator, Geometry]:
    """Checks what a step is made with, and tells the other processes if it does not fit."""
    try:
        partition = as_partition(encoders)
        communicator = Communicator(partition, group, average=average)
        return partition, communicator, as_geometry(geometry)
    except Exception as error:
        if average:
            announce(error, group)
        raise


Outcome = tuple[dict[Tensor, Tensor], StepReport]
"""What is to be added to ``.grad``, and what was measured."""


def _known_weights(step: Step, method: LossWeighting) -> Outcome:
    with step.watched():
        return pass_summed(step, method), StepReport({})


def _measured_weights(step: Step) -> Outcome:
    weigher = step.weigher()
    every_step = step.geometry.every == 1 or isinstance(step.method, LossWeighting)
    if step.geometry.probe is not None or not every_step:  # refused now, not in a later step
        check_sharing(step)
    with step.watched():
        if step.geometry.probe is None:
            gradients = pass_per_objective(step, weigher, step.collect)
        else:
            gradients = pass_shared(step, weigher)
    return gradients, StepReport(weigher.reports)


def _remembered_weights(step: Step) -> Outcome:
    check_sharing(step)
    with step.watched():
        gradients = pass_shared(step, step.weigher(step.geometry.remembered(step.partition)))
    return gradients, StepReport({})
