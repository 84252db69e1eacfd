"""Geometry of many steps, kept on the device until it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.gradients import conflict, cosine, norms
from mmpareto.partition import JOINT
from mmpareto.step._report import EncoderReport, StepReport


@dataclass(frozen=True)
class GeometryRow:
    """Geometry of one step on one encoder, between the joint and its own unimodal objective."""

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
        self._pending: list[tuple[int, str, Tensor]] = []

    def record(self, step: int, report: StepReport) -> None:
        """Adds the encoders of `report` that the joint and their own unimodal objective reach."""
        for modality, encoder in report.items():
            if {JOINT, modality} <= set(encoder.objectives):
                self._pending.append((step, modality, _numbers(modality, encoder)))

    def rows(self) -> list[GeometryRow]:
        """All rows so far; the one place where the device is waited for."""
        if self._pending:
            steps, modalities, measured = zip(*self._pending, strict=True)
            numbers = torch.stack(measured).tolist()
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
        """Share of recorded steps in conflict, by modality."""
        flags: dict[str, list[bool]] = {}
        for row in self.rows():
            flags.setdefault(row.modality, []).append(row.conflict)
        rates: dict[str, float] = {}
        for modality, values in flags.items():
            rates[modality] = sum(values) / len(values)
        return rates


def _numbers(modality: str, encoder: EncoderReport) -> Tensor:
    """Cosine, conflict and the two norms [4], of the joint and the modality's own objective."""
    joint, unimodal = encoder.objectives.index(JOINT), encoder.objectives.index(modality)
    pairs = ((joint, joint), (joint, unimodal), (unimodal, joint), (unimodal, unimodal))
    gramian = torch.stack([encoder.gramian[pair] for pair in pairs]).view(2, 2)
    return torch.stack([cosine(gramian), conflict(gramian).to(gramian.dtype), *norms(gramian)])
