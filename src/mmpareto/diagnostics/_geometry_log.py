"""Geometry of many steps, kept on the device until it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.partition import JOINT
from mmpareto.step._report import EncoderReport, StepReport


@dataclass(frozen=True)
class GeometryRow:
    """Geometry of one step on one encoder.

    Attributes:
        step: Number of the step.
        modality: Name of the encoder.
        cosine: Cosine between the sides: its own objective, and the others that reach it (in late
            fusion the joint one); NaN where a gradient is not finite.
        conflict: Whether they conflict.
        norm_joint: Length of the joint objective's gradient.
        norm_unimodal: Length of its own objective's gradient.
    """

    step: int
    modality: str
    cosine: float
    conflict: bool
    norm_joint: float
    norm_unimodal: float


class GeometryLog:
    """Collects step reports without waiting for the device."""

    def __init__(self) -> None:
        self._rows: list[GeometryRow] = []
        self._pending: list[tuple[int, str, EncoderReport]] = []

    def record(self, step: int, report: StepReport) -> None:
        """Adds the encoders of `report` that the joint and their own unimodal objective reach."""
        for modality, encoder in report.items():
            if {JOINT, modality} <= set(encoder.objectives):
                self._pending.append((step, modality, encoder))

    def rows(self) -> list[GeometryRow]:
        """All rows so far; the one place where the device is waited for."""
        if self._pending:
            steps, modalities, encoders = zip(*self._pending, strict=True)
            numbers = torch.stack(list(map(_numbers, modalities, encoders))).tolist()
            for step, modality, row in zip(steps, modalities, numbers, strict=True):
                angle, in_conflict, joint, unimodal = row
                self._rows.append(
                    GeometryRow(step, modality, angle, bool(in_conflict), joint, unimodal)
                )
            self._pending.clear()
        return self._rows

    def restore(self, rows: Iterable[GeometryRow]) -> None:
        """Continues from `rows` of an earlier log."""
        self._rows, self._pending = list(rows), []

    def conflict_rates(self) -> dict[str, float]:
        """Share of recorded steps in conflict, by modality, of those with finite gradients."""
        flags: dict[str, list[bool]] = {}
        for row in self.rows():
            if not math.isnan(row.cosine):
                flags.setdefault(row.modality, []).append(row.conflict)
        rates: dict[str, float] = {}
        for modality, values in flags.items():
            rates[modality] = sum(values) / len(values)
        return rates


def _numbers(modality: str, encoder: EncoderReport) -> Tensor:
    """Cosine and conflict of the sides, norms of the joint and the own objective: tensor [4]."""
    norms = encoder.norms
    conflict = encoder.conflict.to(encoder.gramian.dtype)
    return torch.stack([encoder.cosine, conflict, norms[JOINT], norms[modality]])
