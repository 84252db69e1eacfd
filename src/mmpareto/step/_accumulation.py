"""Several micro-batches, one decision."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmpareto.balancing import (
    Balancer,
    GramianWeighting,
    LossWeighting,
    Method,
    as_method,
    check_required,
    describe,
)
from mmpareto.distributed import Communicator, Group, agree
from mmpareto.gradients import Gradients, Graphs, add, not_compiled
from mmpareto.partition import Encoder, Partition, as_partition
from mmpareto.step._backward import EVERY_STEP, as_geometry
from mmpareto.step._geometry import Geometry
from mmpareto.step._losses import check_losses
from mmpareto.step._per_objective import pass_per_objective
from mmpareto.step._report import StepReport
from mmpareto.step._step import Step, check_meaning, hidden_gradients_refused, needed_later


class Accumulation:
    """Adds up each objective's gradients over micro-batches and balances them once.

    The step is that of one large batch. Calling `backward` on each micro-batch instead decides on
    each by itself, and adds up what was decided. This class holds one gradient per objective
    between the micro-batches, which that does not, and averages plain parameters' gradients over
    processes once per step.

    Args:
        encoders: As for `backward`.
        method: As for `backward`.
        geometry: As for `backward`. It decides on the weights; no pass is saved by it, since each
            objective's gradient is held anyway. A probe is measured without what is above it.
        group: As for `backward`.
        average: As for `backward`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, head = nn.Linear(4, 2), nn.Linear(2, 1)
        >>> accumulation = mp.Accumulation({"audio": ear}, mp.MMPareto())
        >>> for audio in torch.randn(8, 4).chunk(2):
        ...     feature = ear(audio)
        ...     losses = {"joint": head(feature).mean() / 2, "audio": feature.mean() / 2}
        ...     accumulation.add(losses)
        >>> accumulation.backward()["audio"].objectives
        ('joint', 'audio')
    """

    def __init__(
        self,
        encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
        method: Method | Balancer | GramianWeighting,
        *,
        geometry: Geometry | None = EVERY_STEP,
        group: Group = None,
        average: bool = True,
    ) -> None:
        self._partition, self._method = as_partition(encoders), as_method(method)
        self._geometry = as_geometry(geometry)
        self._balancer = method if isinstance(method, Balancer) else None
        self._geometry.check_use(self._method, self._partition)
        self._group, self._average = group, average
        self._sums: dict[str, dict[Tensor, Tensor]] = {}
        self._graphs = Graphs({})

    @not_compiled
    def add(self, losses: Mapping[str, Tensor], *, retain_graph: bool = False) -> None:
        """Adds the gradients of one micro-batch to those held; ``.grad`` stays as it is.

        Args:
            losses: As for `backward`, each divided by the number of micro-batches if it is a mean
                over samples.
            retain_graph: Whether to keep the graph for further use.

        Raises:
            MMParetoError: If the losses do not fit the encoders.
        """
        graphs = check_losses(losses, self._partition)
        communicator = self._communicator()
        check_meaning(graphs, self._partition, self._geometry, communicator)
        reach = communicator.local_reach(graphs.reach)
        later = needed_later(reach)
        gradients = {}
        with hidden_gradients_refused(self._partition, graphs):
            for name, leaves in reach.items():
                kept = retain_graph or later[name]
                gradients[name], _ = communicator.collect(losses[name], leaves, retain_graph=kept)
        for name, gradient in gradients.items():  # when all are known: a pass may fail
            add(self._sums.setdefault(name, {}), gradient)
        before = self._graphs
        self._graphs = Graphs({}, before.custom or graphs.custom, before.zeros or graphs.zeros)

    @not_compiled
    def backward(self) -> StepReport:
        """Writes the balanced gradient of what was added into ``.grad``, and begins anew.

        Returns:
            The geometry of the whole step; empty if it was not measured.

        Raises:
            MMParetoError: If nothing was added, on any process.
        """
        sums, self._sums = self._sums, {}
        step = self._agree(sums)
        self._graphs = Graphs({})
        measured = step.is_measured or isinstance(step.method, LossWeighting)
        weigher = step.weigher(None if measured else self._geometry.remembered(self._partition))

        def take(name: str) -> Gradients:
            held = sums.get(name, {})
            return {leaf: held.pop(leaf, None) for leaf in step.reach[name]}

        step.write(pass_per_objective(step, weigher, take))
        report = StepReport(weigher.reports)
        self._geometry.count(self._method, self._partition, report if measured else None)
        return report

    def _communicator(self) -> Communicator:
        return Communicator(self._partition, self._group, average=self._average)

    def _agree(self, sums: Mapping[str, Mapping[Tensor, Tensor]]) -> Step:
        communicator = self._communicator()
        zeros = self._graphs.zeros
        graphs = agree(
            communicator,
            self._partition,
            lambda: self._read(sums, zeros),
            lambda: (describe(self._balancer or self._method), *self._geometry.settings()),
        )
        check_required(self._method, graphs.reach)
        return Step(
            losses={},
            partition=self._partition,
            method=self._method,
            geometry=self._geometry,
            communicator=communicator,
            graphs=graphs,
            retain_graph=False,
            balancer=self._balancer,
        )

    def _read(self, sums: Mapping[str, Mapping[Tensor, Tensor]], zeros: bool) -> Graphs:
        if self._balancer is not None and sums:
            self._balancer.check_observed()
        return Graphs(dict(zip(sums, map(list, sums.values()), strict=True)), zeros=zeros)
