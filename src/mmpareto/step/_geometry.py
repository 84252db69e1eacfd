"""How the objectives' geometry is measured, and what was measured last."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Literal, get_args
from weakref import ref

import torch
from torch import Tensor, nn

from mmpareto.balancing import GradientIntegration, Method, describe
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Sides, each_alone, objective_weights, outside
from mmpareto.partition import JOINT, Encoder, Partition, as_partition
from mmpareto.step._geometry_state import read_state
from mmpareto.step._report import EncoderReport, StepReport

SideRule = Literal["own", "all", "joint"]


class Geometry:
    """How the geometry of the objectives' gradients is measured, with any method.

    With `every` it remembers the weights that were measured last: one object belongs to one method
    and one partition then, and is saved and restored with the training (`state_dict`,
    `load_state_dict`), as an optimizer is.

    Args:
        every: Measure in every `every`-th step. The steps between weight as the last measured one
            did, and pass through the encoders once for all objectives as far as modalities meet
            above them (late fusion). A step that other objectives reach is measured anew. What is
            not finite is not remembered.
        probe: For some encoders a block at their top, as a module or parameters: the geometry is
            measured on its gradients (and on those above it) alone, and what is below is passed
            once for all objectives.
        sides: What is balanced against what on an encoder that has an objective of its own name.
            ``"own"``: its own objective against the sum of all others that reach it, which in late
            fusion is the joint one; the question of the MMPareto paper. ``"joint"``: its own
            against the joint one, and no other trains the encoder. ``"all"``: each objective by
            itself. An encoder without an objective of its own, such as a trunk of several tasks,
            takes each by itself. The paper defines late fusion alone, and what its authors do with
            dense interaction is not released.

    Raises:
        MMParetoError: If an argument is none of these.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, head = nn.Linear(4, 2), nn.Linear(2, 1)
        >>> encoders, geometry = mp.Partition(audio=ear), mp.Geometry(every=2)
        >>> for audio in torch.randn(8, 4).chunk(2):
        ...     feature = ear(audio)
        ...     losses = {"joint": head(feature).mean(), "audio": feature.mean()}
        ...     report = mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry)
        ...     print(list(report))
        ['audio']
        []
        >>> geometry.state_dict()["age"]
        1
    """

    def __init__(
        self,
        *,
        every: int = 1,
        probe: Partition | Mapping[str, Encoder] | nn.ModuleDict | None = None,
        sides: SideRule = "own",
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise MMParetoError(
                f"Parameter `every` should be a whole number, at least 1. Found {every!r}."
            )
        if sides not in get_args(SideRule):
            raise MMParetoError(
                f"Parameter `sides` should be one of {get_args(SideRule)}. Found {sides!r}."
            )
        self.every = every
        self.sides: SideRule = sides
        self.probe = None if probe is None else as_partition(probe)
        self._age = every - 1  # the first step is measured
        self._weights: dict[str, tuple[tuple[str, ...], Tensor]] = {}
        self._owner: dict[str, Any] | None = None
        self._parameters: list[ref[Tensor]] | None = None

    def __repr__(self) -> str:
        settings = []
        if self.every > 1:
            settings.append(f"every={self.every}")
        if self.probe is not None:
            settings.append(f"probe={self.probe}")
        if self.sides != "own":
            settings.append(f"sides={self.sides!r}")
        return f"Geometry({', '.join(settings)})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_parameters": None}  # a copy may serve a copy of the model

    def state_dict(self) -> dict[str, Any]:
        """What the next steps need: numbers, names and tensors."""
        weights = {}
        for encoder, (objectives, values) in self._weights.items():
            weights[encoder] = {"objectives": list(objectives), "weights": values}
        return {"age": self._age, "weights": weights, "owner": self._owner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state_dict` returned.

        Raises:
            MMParetoError: If `state` is nothing of the kind.
        """
        age, weights, owner = read_state(state)
        self._age, self._weights, self._owner = age, weights, owner
        self._parameters = None

    def settings(self) -> tuple[object, ...]:
        """What has to be equal on all processes that share a step."""
        return self.every, repr(self.probe), self.sides, self._age, self._objectives()

    def check_use(self, method: Method, partition: Partition) -> None:
        """Raises unless `method` and `partition` are those that this object was used with before.

        Raises:
            MMParetoError: If they are others, if they do not fit `every` and `probe`, or if the
                probe is no part of the encoders.
        """
        _check_probe(self.probe, partition)
        if self.every == 1 and self.probe is None:
            return
        if isinstance(method, GradientIntegration) and method.per_tensor:
            raise MMParetoError(
                "Parameter `granularity` should be 'encoder' where one pass serves all objectives: "
                "it knows no tensors one by one. Found weights of each tensor with `every` or "
                "`probe`."
            )
        if self.every == 1:
            return
        owner = _description(method, partition)
        if self._owner is not None and (self._owner != owner or self._is_of_others(partition)):
            raise MMParetoError(
                "Parameter `geometry` should be used with one method and partition: with `every` "
                f"it remembers their weights. Found {owner['method']} after "
                f"{self._owner['method']}, or other encoders. Make a Geometry for each."
            )

    def is_due(self) -> bool:
        """Whether it is time to measure."""
        return self._age + 1 >= self.every

    def knows(self, objectives: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether it remembers weights of just these objectives.

        Args:
            objectives: For each encoder the objectives that reach it.
        """
        return self._objectives() == objectives

    def _objectives(self) -> dict[str, tuple[str, ...]]:
        return {encoder: names for encoder, (names, _) in self._weights.items()}

    def _is_of_others(self, partition: Partition) -> bool:
        """Whether it was used in this process with parameters that are not the partition's."""
        if self._parameters is None:
            return False
        pairs = zip(self._parameters, chain.from_iterable(partition.values()), strict=False)
        return any(weak() is not parameter for weak, parameter in pairs)

    def remembered(self, partition: Partition) -> dict[str, Tensor]:
        """For each encoder the weights [m] that were measured last, on the encoder's device."""
        weights = {}
        for encoder, (objectives, values) in self._weights.items():
            weights[encoder] = values.to(partition[encoder][0].device)
            self._weights[encoder] = (objectives, weights[encoder])
        return weights

    def count(self, method: Method, partition: Partition, report: StepReport | None) -> None:
        """Takes note of a step that has succeeded.

        Args:
            method: The step's method.
            partition: The step's encoders.
            report: What was measured; None if nothing was.
        """
        if self.every == 1:
            return
        if report is None:
            self._age += 1
            return
        remembered = {}
        for encoder, measured in report.items():
            weights = self._finite(method, encoder, measured)
            remembered[encoder] = (measured.objectives, weights)
        self._weights, self._age = remembered, 0
        self._owner = _description(method, partition)
        self._parameters = list(map(ref, chain.from_iterable(partition.values())))

    @torch.no_grad()
    def _finite(self, method: Method, encoder: str, measured: EncoderReport) -> Tensor:
        """The measured weights, or earlier ones where something is not finite."""
        applied = measured.applied
        objectives, earlier = self._weights.get(encoder, ((), applied))
        if objectives != measured.objectives:
            earlier = _neutral_weights(method, measured)
        finite = applied.isfinite().all() & measured.gramian.isfinite().all()
        return torch.where(finite, applied, earlier.to(applied.device, applied.dtype))

    def sides_of(self, encoder: str, objectives: tuple[str, ...]) -> Sides:
        """The sides of the geometry on an encoder, in numbers of the objectives that reach it.

        Example:
            >>> Geometry().sides_of("audio", ("joint", "audio", "visual"))
            ((0, 2), (1,))
            >>> Geometry(sides="joint").sides_of("audio", ("joint", "audio", "visual"))
            ((0,), (1,))
            >>> Geometry().sides_of("trunk", ("left", "right"))
            ((0,), (1,))
        """
        if self.sides == "all" or encoder not in objectives:
            return each_alone(len(objectives))
        own = objectives.index(encoder)
        others = outside(range(len(objectives)), {own})
        if self.sides == "joint":
            others = [objectives.index(JOINT)] if JOINT in objectives else []
        return tuple(sorted([tuple(others), (own,)])) if others else ((own,),)


def _neutral_weights(method: Method, measured: EncoderReport) -> Tensor:
    """Weights as of gradients of equal lengths at right angles, where none are known yet."""
    gramian = measured.gramian
    if not isinstance(method, GradientIntegration):
        return measured.applied
    count = len(measured.objectives)
    sides = measured.sides or each_alone(count)
    eye = torch.eye(len(sides), dtype=gramian.dtype, device=gramian.device)
    return objective_weights(method.weights(eye[None]), sides, count)


def _check_probe(probe: Partition | None, partition: Partition) -> None:
    if probe is None:
        return
    for name, parameters in probe.items():
        if name not in partition:
            known = ", ".join(map(repr, partition))
            raise MMParetoError(
                f"Parameter `probe` should name encoders, i.e. {known}. Found {name!r}."
            )
        alien = outside(parameters, set(partition[name]))
        if alien:
            raise MMParetoError(
                f"Probe of '{name}' should be a part of its encoder. Found {len(alien)} of its "
                f"{len(parameters)} parameters outside."
            )


def _description(method: Method, partition: Partition) -> dict[str, Any]:
    """What tells one method and partition from another, also in another process."""
    encoders = {}
    for encoder, parameters in partition.items():
        encoders[encoder] = [list(parameter.shape) for parameter in parameters]
    return {"method": describe(method), "encoders": encoders}
