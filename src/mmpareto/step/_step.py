"""What a training step consists of, the same on all processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from torch import Tensor

from mmpareto.balancing import (
    Balancer,
    GradientIntegration,
    GramianWeighting,
    LossWeighting,
    Method,
    as_method,
    check_required,
    describe,
)
from mmpareto.distributed import Communicator, agree
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Gradients, Graphs, among, grads_put_aside, outside
from mmpareto.partition import Partition
from mmpareto.step._geometry import Geometry
from mmpareto.step._losses import check_losses
from mmpareto.step._names import check_names
from mmpareto.step._weighing import Weigher


@dataclass(frozen=True)
class ReachedEncoder:
    """What of an encoder takes part in a step.

    Attributes:
        parameters: Those of its parameters that any objective reaches.
        objectives: Names of the objectives that reach it.
    """

    parameters: list[Tensor]
    objectives: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """The parts of a training step that its passes need.

    Attributes:
        losses: This process's losses by objective.
        partition: The encoders.
        method: What weighs the objectives.
        geometry: How their geometry is measured.
        communicator: The processes.
        graphs: What the graphs tell, of all processes together.
        retain_graph: Whether the graph is to be kept after the step.
        balancer: The method at work, if it is one that has to be.
    """

    losses: Mapping[str, Tensor]
    partition: Partition
    method: GradientIntegration | LossWeighting
    geometry: Geometry
    communicator: Communicator
    graphs: Graphs
    retain_graph: bool
    balancer: Balancer | None = None

    @property
    def reach(self) -> dict[str, list[Tensor]]:
        """For each objective of any process the leaves that it reaches, the joint one first."""
        return self.graphs.reach

    @cached_property
    def encoders(self) -> dict[str, ReachedEncoder]:
        """The encoders that any objective reaches."""
        reached = set(chain.from_iterable(self.reach.values()))
        encoders = {}
        for encoder, parameters in self.partition.items():
            live = among(parameters, reached)
            if live:
                inside = set(live)
                objectives = [
                    o for o, leaves in self.reach.items() if not inside.isdisjoint(leaves)
                ]
                encoders[encoder] = ReachedEncoder(live, tuple(objectives))
        return encoders

    @property
    def encoded(self) -> list[Tensor]:
        """All parameters of encoders that any objective reaches."""
        encoded: list[Tensor] = []
        for encoder in self.encoders.values():
            encoded += encoder.parameters
        return encoded

    def groups(self) -> Iterator[list[Tensor]]:
        """The parameters of the encoders, in groups that the same objectives reach."""
        for encoder in self.encoders.values():
            reaching: dict[Tensor, tuple[str, ...]] = dict.fromkeys(encoder.parameters, ())
            for objective in encoder.objectives:
                for parameter in among(self.reach[objective], reaching):
                    reaching[parameter] += (objective,)
            by_objectives: dict[tuple[str, ...], list[Tensor]] = {}
            for parameter, objectives in reaching.items():
                by_objectives.setdefault(objectives, []).append(parameter)
            yield from by_objectives.values()

    @cached_property
    def outer(self) -> dict[Tensor, str]:
        """The leaves in no encoder, and the last objective that reaches each."""
        encoded = set(self.encoded)
        last: dict[Tensor, str] = {}
        for objective, leaves in self.reach.items():
            last |= dict.fromkeys(outside(leaves, encoded), objective)
        return last

    @property
    def objectives(self) -> dict[str, tuple[str, ...]]:
        """For each encoder the objectives that reach it."""
        return {name: encoder.objectives for name, encoder in self.encoders.items()}

    @property
    def is_measured(self) -> bool:
        """Whether the geometry is measured in this step."""
        if isinstance(self.method, LossWeighting):
            return self.geometry.is_due()
        return self.geometry.is_due() or not self.geometry.knows(self.objectives)

    @property
    def per_tensor(self) -> bool:
        """Whether each tensor needs a Gramian by itself: for the method, or as it is sharded."""
        asked = isinstance(self.method, GradientIntegration) and self.method.per_tensor
        return asked or self.communicator.sharded

    def weigher(self, remembered: Mapping[str, Tensor] | None = None) -> Weigher:
        """What weighs the objectives, by their geometry or as `remembered`."""
        return Weigher(self.method, self.geometry, self.graphs.zeros, remembered, {})

    @cached_property
    def _needed_later(self) -> dict[str, bool]:
        local = among(self.reach, self.losses)
        return needed_later(dict(zip(local, map(self.reach.__getitem__, local), strict=True)))

    def retains(self, objective: str) -> bool:
        """Whether the objective's graph is to be kept after its pass."""
        return self.retain_graph or self._needed_later.get(objective, False)

    def collect(self, objective: str) -> Gradients:
        """This process's gradients of an objective for all that it reaches on any."""
        return self.communicator.collect(
            self.losses.get(objective), self.reach[objective], retain_graph=self.retains(objective)
        )[0]

    def write(self, gradients: dict[Tensor, Tensor]) -> None:
        """Adds gradients, as the method modulates them, to what is in ``.grad``."""
        if self.balancer is None:
            self.communicator.assign(gradients)
            return
        self.communicator.assign(self.balancer.modulated(gradients))
        self.balancer.count()

    def watched(self) -> AbstractContextManager[None]:
        """Refuses functions that write ``.grad`` themselves while the graphs are passed."""
        return hidden_gradients_refused(self.partition, self.graphs)


def agree_on_step(
    losses: Mapping[str, Tensor],
    partition: Partition,
    method: Method | Balancer | GramianWeighting,
    geometry: Geometry,
    communicator: Communicator,
    *,
    retain_graph: bool = False,
) -> Step:
    """Checks what a step is made of, on all processes, before anything is changed on any.

    Raises:
        MMParetoError: On all processes, if something does not fit on one.
    """
    balancer = method if isinstance(method, Balancer) else None
    checked: list[GradientIntegration | LossWeighting] = []

    def read() -> Graphs:
        checked.append(as_method(method))
        if balancer is not None and losses:
            balancer.check_observed()
        geometry.check_use(checked[0], partition)
        graphs = check_losses(losses, partition)
        check_meaning(graphs, partition, geometry, communicator)
        return graphs

    def settings() -> object:
        return describe(method), *geometry.settings()

    graphs = agree(communicator, partition, read, settings)
    check_required(checked[0], graphs.reach)
    return Step(
        losses, partition, checked[0], geometry, communicator, graphs, retain_graph, balancer
    )


def check_meaning(
    graphs: Graphs,
    partition: Partition,
    geometry: Geometry,
    communicator: Communicator,
) -> None:
    """Raises if graphs lead to parameters that the partition should know, or names mislead."""
    if communicator.sharded:  # graphs end in gathered copies, of which nothing can be told
        return
    partition.check_fresh(set(chain.from_iterable(graphs.reach.values())))
    if geometry.sides != "all":
        check_names(graphs.reach, partition)


def needed_later(reach: Mapping[str, Iterable[Tensor]]) -> dict[str, bool]:
    """Tells for each objective whether one after it passes through a part of its graph.

    Graphs that end in different leaves have nothing in common: what is shared leads to leaves that
    are.

    Args:
        reach: For each objective, in the order of the passes, the leaves that its gradient reaches.

    Example:
        >>> import torch
        >>> a, b = torch.ones(1), torch.ones(1)
        >>> needed_later({"joint": [a, b], "audio": [a], "visual": [b]})
        {'joint': True, 'audio': False, 'visual': False}
    """
    later: set[Tensor] = set()
    needed = dict.fromkeys(reach, False)
    for name in reversed(list(reach)):
        needed[name] = not later.isdisjoint(reach[name])
        later.update(reach[name])
    return needed


@contextmanager
def hidden_gradients_refused(partition: Partition, graphs: Graphs) -> Iterator[None]:
    """Refuses functions whose backward pass writes ``.grad`` itself, past what a step can see.

    Args:
        partition: The encoders.
        graphs: What is passed inside. Without functions written in Python nothing is watched.

    Raises:
        MMParetoError: If a ``.grad`` was written. What was in it before is put back.
    """
    if not graphs.custom:
        yield
        return
    with grads_put_aside(partition.parameters):
        yield
        hidden = [p for p in partition.parameters if p.grad is not None]
        if hidden:
            raise MMParetoError(
                "Functions in the graph should leave gradients to autograd. Found that the "
                f"backward pass of one wrote the `.grad` of {len(hidden)} parameters itself, the "
                f"first of shape {tuple(hidden[0].shape)}: a reversible layer, or a checkpoint "
                "function of another library. Use layers that are not reversible, and "
                "torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."
            )
