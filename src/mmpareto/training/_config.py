"""The complete description of one training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import nn

from mmpareto.balancing import GradientIntegration, Method
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError
from mmpareto.models import ModelRecipe
from mmpareto.specs import Shape
from mmpareto.step import Geometry


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with the paper's settings.

    Args:
        lr: Learning rate.
        momentum: Factor of the running sum of gradients.
        weight_decay: Factor of the weights added to their gradient.
    """

    lr: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value >= 0):
                raise MMParetoError(
                    f"Parameter `optimizer.{name}` should be finite and not negative. Found "
                    f"{value!r}."
                )


NOT_IN_RESULT = ("workers",)
"""Settings that change nothing about a training's result: it may be continued with others."""


@dataclass(frozen=True)
class GeometrySettings:
    """How a training measures the geometry of the objectives' gradients.

    Args:
        every: Measure in every `every`-th step; a measured step costs more. By default in each with
            methods that depend on it (the steps between would reuse their weights), and in every
            tenth with others.
        probe: For some modalities the block at the top of the encoder at which to measure, as the
            dotted name of a module of the model; None to measure the whole encoders.
        sides: What is balanced against what on an encoder: its own objective against all others
            (own) or against the joint one (joint), or each by itself (all).
    """

    every: int | None = None
    probe: dict[str, str] | None = None
    sides: Literal["own", "all", "joint"] = "own"

    def __post_init__(self) -> None:
        Geometry(every=1 if self.every is None else self.every, sides=self.sides)

    def make(self, method: Method, model: nn.Module) -> Geometry:
        """What measures the geometry of a training."""
        every = self.every
        if every is None:
            every = 1 if isinstance(method, GradientIntegration) else 10
        if self.probe is None:
            return Geometry(every=every, sides=self.sides)
        blocks = {}
        for modality, name in self.probe.items():
            try:
                blocks[modality] = model.get_submodule(name)
            except AttributeError:
                raise MMParetoError(
                    f"Parameter `geometry.probe` should name modules of the model. Found {name!r} "
                    f"for '{modality}'."
                ) from None
        return Geometry(every=every, probe=blocks, sides=self.sides)


@dataclass(frozen=True)
class RunConfig:
    """One training: everything its result depends on, and how it is run.

    Args:
        data: The data set.
        method: How the objectives are balanced.
        model: The model to train from scratch.
        optimizer: The optimizer's settings.
        epochs: Passes over the training part.
        batch_size: Samples per step, over all processes; what is left at the end of an epoch is
            dropped.
        seed: Seed of the weights and of the order of samples.
        modalities: The modalities to train on; None for all of the data set.
        threads: Threads of the processor. Sums are ordered by them, so another number can give
            other last digits.
        geometry: How the geometry of the gradients is measured.
        devices: Processes per node that train together; each takes its share of every batch.
        num_nodes: Nodes that train together.
        workers: Processes that load the data for each process that trains, for either part; 0 loads
            in that process. The batches are the same whatever their number.
        strategy: Whether every process holds the whole model (ddp) or a part of each parameter
            (fsdp, FSDP2); auto is ddp where there are several processes.
        hold_out: Whether a tenth of the training part is held out, as for methods that learn from
            it: for other trainings to be compared with theirs.
    """

    data: DatasetRecipe
    method: Method
    model: ModelRecipe
    optimizer: SGD = SGD()
    epochs: int = 30
    batch_size: int = 64
    seed: int = 0
    modalities: tuple[str, ...] | None = None
    threads: int = 1
    geometry: GeometrySettings = GeometrySettings()
    devices: int = 1
    num_nodes: int = 1
    workers: int = 0
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    hold_out: bool = False

    def __post_init__(self) -> None:
        positive = dict.fromkeys(("epochs", "threads", "devices", "num_nodes"), 1)
        for name, least in {**positive, "batch_size": 2, "seed": 0, "workers": 0}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise MMParetoError(
                    f"Parameter `{name}` should be at least {least}. Found {value!r}."
                )
        if self.seed >= 2**32:
            raise MMParetoError(f"Parameter `seed` should be less than 2**32. Found {self.seed!r}.")
        if self.strategy not in ("auto", "ddp", "fsdp"):
            raise MMParetoError(
                f"Parameter `strategy` should be auto, ddp or fsdp. Found {self.strategy!r}."
            )
        if self.batch_size % self.processes or self.batch_size < 2 * self.processes:
            raise MMParetoError(
                "Parameter `batch_size` should be a multiple of the number of processes, devices "
                f"* num_nodes = {self.processes}, and at least 2 for each. Found "
                f"{self.batch_size!r}."
            )
        known = tuple(self.data.shapes)
        if self.modalities is None:
            return
        if not self.modalities or not set(self.modalities) <= set(known):
            raise MMParetoError(
                f"Parameter `modalities` should be some of {known}. Found {self.modalities!r}."
            )

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.num_nodes

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of one sample of each modality that is trained on."""
        return {name: self.data.shapes[name] for name in self.modalities or self.data.shapes}
