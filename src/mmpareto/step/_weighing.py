"""From the geometry on an encoder to the weights of its objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor

from mmpareto.balancing import CustomWeighting, GradientIntegration, LossWeighting
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Sides, nonzero, objective_weights, outside, side_gramians, whole
from mmpareto.step._geometry import Geometry
from mmpareto.step._report import EncoderReport

Place = TypeVar("Place")

Rows = list[list[Tensor | None]]
"""For each of m objectives its gradient for each of an encoder's T parameter tensors."""


@dataclass
class Weigher:
    """Weighs the objectives on one encoder after another, and reports how.

    Attributes:
        method: What weighs them.
        geometry: What is balanced against what.
        made_up_zeros: Whether a zero gradient may be one that a wrapper has made up, in which an
            objective has no part.
        remembered: For each encoder weights [m] that were measured before; None to measure.
        reports: What was measured so far.
    """

    method: GradientIntegration | LossWeighting
    geometry: Geometry
    made_up_zeros: bool
    remembered: Mapping[str, Tensor] | None
    reports: dict[str, EncoderReport]

    @torch.no_grad()
    def weigh(
        self, encoder: str, objectives: tuple[str, ...], gramians: Tensor | None, rows: Rows
    ) -> Tensor:
        """Weights of the objectives on an encoder.

        Args:
            encoder: Its name.
            objectives: Names of the m objectives that reach it.
            gramians: Tensor [T, m, m], measured over all processes; None if weights are remembered.
            rows: The gradients to be combined. Those of objectives that have no part in the
                encoder are dropped: their weight is zero, but zero times infinity is not.

        Returns:
            Tensor [m], or [T, m].
        """
        sides = self.geometry.sides_of(encoder, objectives)
        if self.remembered is not None:
            weights = self.remembered[encoder]
            _drop(rows, _left_out(sides, len(objectives)))
            return weights
        assert gramians is not None
        if isinstance(self.method, LossWeighting):
            fixed = self.method.loss_weights(objectives)
            weights = torch.stack([gramians.new_full((), weight) for weight in fixed])
            _drop(rows, [number for number, weight in enumerate(fixed) if weight == 0])
        else:
            measured = side_gramians(gramians, sides)
            weights = objective_weights(self._side_weights(measured), sides, len(objectives))
            _drop(rows, _left_out(sides, len(objectives)))
        self.reports[encoder] = EncoderReport(objectives, whole(gramians), weights, sides)
        return weights

    def _side_weights(self, gramians: Tensor) -> Tensor:
        assert isinstance(self.method, GradientIntegration)
        with _outside_autocast(gramians.device.type):
            if not (self.made_up_zeros and isinstance(self.method, CustomWeighting)):
                return self.method.weights(gramians)
            # A function of someone's own cannot know that a zero is made up. To leave it out, the
            # host has to read which: the one wait of a step, with such functions and wrappers only.
            flags = nonzero(whole(gramians)).tolist()
            present = tuple((number,) for number, flag in enumerate(flags) if flag)
            if not present:
                return torch.ones_like(gramians[0, 0])
            reduced = side_gramians(gramians, present)
            return objective_weights(self.method.weights(reduced), present, len(flags))


def check_probed(encoder: str, objectives: Iterable[str], rows: Rows) -> None:
    """Raises if an objective has no gradient where the geometry of an encoder is measured.

    Args:
        encoder: Its name.
        objectives: Names of the m objectives that reach it.
        rows: Their gradients where it is measured.

    Raises:
        MMParetoError: If a row holds None alone.
    """
    for objective, row in zip(objectives, rows, strict=True):
        if not any(gradient is not None for gradient in row):
            raise MMParetoError(
                f"Probe of '{encoder}' should be reached by every objective of its encoder. Found "
                f"'{objective}', which passes it by. Choose another block, or do without `probe`."
            )


def without_none(gradients: dict[Place, Tensor | None]) -> dict[Place, Tensor]:
    """The gradients that are there."""
    return {place: gradient for place, gradient in gradients.items() if gradient is not None}


def _left_out(sides: Sides, count: int) -> list[int]:
    """Numbers of the objectives that are on no side."""
    return outside(range(count), set(chain.from_iterable(sides)))


def _drop(rows: Rows, numbers: list[int]) -> None:
    for number in numbers:
        rows[number] = [None] * len(rows[number])


def _outside_autocast(device_type: str) -> AbstractContextManager[object]:
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
