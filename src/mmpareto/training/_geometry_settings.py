"""How a training measures the geometry of its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from mmpareto.balancing import GradientIntegration, Method
from mmpareto.errors import MMParetoError
from mmpareto.step import Geometry


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
