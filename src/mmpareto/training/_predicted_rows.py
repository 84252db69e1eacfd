"""Predictions for people: a row per sample, with names of classes and probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmpareto._storage._csv import write_rows
from mmpareto.data import Batch
from mmpareto.partition import JOINT
from mmpareto.specs import Classes, Labels, Number, Target
from mmpareto.training._predictions import Predictions

_EVEN = 0.5
"""Probability from which on one of several labels is predicted."""


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """What a model predicts for N rows, in their order.

    Args:
        target: What is predicted.
        ids: Names of the rows.
        expected: For the joint prediction and each modality's probabilities [N, classes], or
            numbers [N, 1]; NaN where a row has none.
        missing: For each row the modalities that it lacks.
        problems: For each row what in it could not be used.
    """

    target: Target
    ids: Sequence[str]
    expected: Mapping[str, Tensor]
    missing: Sequence[Sequence[str]]
    problems: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> list[bool]:
        """Which rows have a joint prediction."""
        flags: list[bool] = self.expected[JOINT].isfinite().all(1).tolist()
        return flags

    @property
    def labels(self) -> list[str]:
        """What is predicted for each row from all its modalities; ``""`` where nothing is.

        The most probable class, the labels that are more probable than not, joined by semicolons,
        or a number.
        """
        pairs = zip(self.expected[JOINT], self.predicted, strict=True)
        return [_label(self.target, row) if known else "" for row, known in pairs]

    @property
    def headings(self) -> list[str]:
        """Names of the columns of `cells`: ``joint/cat`` is the joint probability of the cat."""
        names: list[str] = []
        for objective in self.expected:
            if isinstance(self.target, Classes | Labels):
                names += [f"{objective}/{name}" for name in self.target.names]
            else:
                names.append(objective)
        return names

    def cells(self) -> Iterator[list[Any]]:
        """For each row its label and its probabilities; ``""`` for what there is not."""
        together = torch.cat([values.double() for values in self.expected.values()], 1)
        for label, row in zip(self.labels, together.tolist(), strict=True):
            numbers = ["" if math.isnan(value) else _short(value, self.target) for value in row]
            yield [_cell(label, self.target), *numbers]

    def save(self, path: Path) -> None:
        """Writes a CSV file, in one step, whose cells no spreadsheet computes.

        Columns are id, prediction, what is missing, what could not be used, and the `headings`.

        Raises:
            MMParetoError: If the file cannot be written.
        """
        header = ["id", "prediction", "missing", "problems", *self.headings]
        lines: list[list[Any]] = []
        about = zip(self.ids, self.missing, self.problems, self.cells(), strict=True)
        for name, missing, problems, (label, *numbers) in about:
            lines.append([name, label, "; ".join(missing), "; ".join(problems), *numbers])
        write_rows(path, header, lines)


def _label(target: Target, expected: Tensor) -> str:
    if isinstance(target, Classes):
        return target.names[int(expected.argmax())]
    if isinstance(target, Labels):
        pairs = zip(target.names, expected.tolist(), strict=True)
        return ";".join(name for name, probability in pairs if probability >= _EVEN)
    return f"{float(expected[0]):.17g}"


def expectations(
    predictions: Mapping[str, Tensor], target: Target, joint_is_expected: bool
) -> dict[str, Tensor]:
    """What predictions [N, outputs] say to expect: probabilities, or a number in its own units.

    Args:
        predictions: The joint prediction and each modality's.
        target: What is predicted.
        joint_is_expected: See `MultimodalModel`.
    """
    expected: dict[str, Tensor] = {}
    for name, prediction in predictions.items():
        is_expected = name == JOINT and joint_is_expected
        values = prediction if is_expected else target.expectation(prediction)
        if isinstance(target, Number):
            values = values * target.std + target.mean
        expected[name] = values
    return expected


def in_rows(predictions: Predictions, target: Target) -> PredictedRows:
    """Predictions of a data set as rows."""
    count = len(predictions.label)
    expected: dict[str, Tensor] = {}
    known_of = expectations(predictions.values, target, predictions.joint_is_expected)
    for name, known in known_of.items():
        filled = known.new_full((count, target.outputs), torch.nan)
        expected[name] = filled.index_copy_(0, predictions.rows[name], known)
    modalities = [name for name in expected if name != JOINT]
    present = {name: predictions.rows[name] for name in modalities}
    missing = _missing(count, modalities, present)
    ids = predictions.ids or list(map(str, range(count)))
    return PredictedRows(target, ids, expected, missing, [()] * count)


def missing_in(batch: Batch, modalities: Iterable[str]) -> list[list[str]]:
    """For each sample of a batch the modalities of a model that it lacks."""
    count, rows = len(batch["label"]), batch.get("rows", {})
    present = {name: rows.get(name, torch.arange(count)) for name in batch["inputs"]}
    return _missing(count, modalities, present)


def _missing(
    count: int, modalities: Iterable[str], present: Mapping[str, Tensor]
) -> list[list[str]]:
    missing: list[list[str]] = [[] for _ in range(count)]
    for name in modalities:
        having = set(present[name].tolist()) if name in present else ()
        for row in range(count):
            if row not in having:
                missing[row].append(name)
    return missing


def save_test_predictions(predictions: Predictions, target: Target, path: Path) -> None:
    """Writes the joint predictions of the test part beside the labels.

    Args:
        predictions: Predictions of the test part.
        target: What is predicted.
        path: The file.
    """
    values, rows_of = {JOINT: predictions.values[JOINT]}, {JOINT: predictions.rows[JOINT]}
    joint = replace(predictions, values=values, rows=rows_of)
    rows = in_rows(joint, target)
    truth = [_cell(_truth(target, label), target) for label in predictions.label]
    about = zip(rows.ids, truth, rows.cells(), strict=True)
    lines = [[name, label, *cells] for name, label, cells in about]
    write_rows(path, ["id", "label", "prediction", *rows.headings], lines)


def _truth(target: Target, label: Tensor) -> str:
    if isinstance(target, Classes):
        return target.names[int(label)]
    return _label(target, label.reshape(-1))


def _cell(label: str, target: Target) -> str | float:
    """A label as a cell, in which a number is no text."""
    return float(label) if label and isinstance(target, Number) else label


def _short(value: float, target: Target) -> float:
    """A number with the fewest digits that give the same bits; probabilities have 32 of them."""
    return value if isinstance(target, Number) else float(f"{value:.9g}")
