"""The moment of a step at which gradients are integrated and not yet written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mmpareto.balancing._evidence import Evidence
from mmpareto.partition import Partition


def generator(device: torch.device, *keys: int) -> torch.Generator:
    """A generator that depends on whole numbers alone, such as seed, step and tensor.

    Example:
        >>> cpu = torch.device("cpu")
        >>> first, again = (torch.rand(3, generator=generator(cpu, 0, 7)) for _ in range(2))
        >>> torch.equal(first, again)
        True
    """
    mixed = 0
    for key in keys:  # a linear congruence between the keys tells (1, 2) from (2, 1)
        mixed = (mixed * 6_364_136_223_846_793_005 + key + 1_442_695_040_888_963_407) % 2**63
    return torch.Generator(device).manual_seed(mixed)


@dataclass(frozen=True, eq=False)
class Moment:
    """Gradients of a step that are integrated, averaged over processes, and not yet written.

    Args:
        gradients: By parameter; those that nothing reached are absent. Not to be written to.
        encoders: The partition.
        evidence: Of all micro-batches of the step.
        seed: Seed of the training.
        step: Number of the step, from 0.
    """

    gradients: Mapping[Tensor, Tensor]
    encoders: Partition
    evidence: Evidence
    seed: int
    step: int

    def on(self, encoder: str) -> dict[Tensor, Tensor]:
        """The gradients on an encoder, by parameter."""
        inside = {}
        for parameter in self.encoders[encoder]:
            if parameter in self.gradients:
                inside[parameter] = self.gradients[parameter]
        return inside

    def normal(self, parameter: Tensor) -> Tensor:
        """Standard normal numbers of a parameter's shape, equal on all processes."""
        keys = self.seed, self.step, self._number[parameter]
        return torch.randn(
            parameter.shape,
            generator=generator(parameter.device, *keys),
            dtype=parameter.dtype,
            device=parameter.device,
        )

    @cached_property
    def _number(self) -> dict[Tensor, int]:
        parameters = self.encoders.parameters
        return dict(zip(parameters, range(len(parameters)), strict=True))
