"""Predictions of a model, of a batch and of a whole data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.balancing import View
from mmpareto.data import Batch
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel, Output
from mmpareto.partition import JOINT
from mmpareto.specs import Target
from mmpareto.training._device import SCORED

REMEDY = "Lower `optimizer.lr`, or look for numbers in the data that are not finite."
"""What to do about losses and predictions that are not finite."""


def predicted(model: MultimodalModel, batch: Batch) -> dict[str, Tensor]:
    """Predictions by objective, each of those samples of a loader's batch that can have it.

    Without any modality there is none.
    """
    inputs, rows = batch["inputs"], batch["rows"]
    if not inputs:
        return {}
    output = model(inputs, rows) if rows else model(inputs)
    return _of_rows(output, rows)


def view_of(target: Target, model: MultimodalModel, batch: Batch, epoch: int = 0) -> View:
    """What a method sees of a batch.

    Args:
        target: What is predicted.
        model: The model.
        batch: A batch of a loader.
        epoch: Number of the epoch.
    """
    inputs, rows, label = batch["inputs"], batch["rows"], batch["label"]
    if not inputs:
        return View(label, {}, _nothing, target=target, epoch=epoch)
    output = model(inputs, rows) if rows else model(inputs)
    within = {modality: rows[modality] for modality in output.features if modality in rows}

    def fuse(features: Mapping[str, Tensor]) -> Tensor:
        chosen = {modality: within[modality] for modality in features if modality in within}
        return model.fuse(features, chosen or None)

    losses: dict[str, Tensor] = {}
    for name, prediction in _of_rows(output, rows).items():
        losses[name] = target.loss(prediction, label[rows[name]] if name in rows else label)
    return View(label, output.features, fuse, output.logits, losses, rows, inputs, target, epoch)


def _nothing(features: Mapping[str, Tensor]) -> Tensor:
    raise MMParetoError("A batch should have a modality for a joint prediction. Found none.")


def _of_rows(output: Output, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    joint = output.joint.index_select(0, rows[JOINT]) if JOINT in rows else output.joint
    return {JOINT: joint, **output.unimodal}


def objectives(target: Target, model: MultimodalModel, batch: Batch) -> dict[str, Tensor]:
    """Loss of the joint and of each unimodal prediction.

    Each is the mean over the samples that can have it.
    """
    return dict(view_of(target, model, batch).losses)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a data set.

    Args:
        values: Predictions by objective, [n, outputs].
        rows: Numbers of the samples that they belong to, by objective, int64 [n].
        label: Labels of all N samples.
        ids: Names of all samples, where they are known.
        joint_is_expected: See `MultimodalModel`.
    """

    values: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]
    label: Tensor
    ids: Sequence[str] = ()
    joint_is_expected: bool = False

    def check_finite(self, source: str) -> None:
        """Checks that there are no infinite ones, and none that are no numbers.

        Args:
            source: What they are predictions of, for the message.

        Raises:
            MMParetoError: If there are; such predictions have no score.
        """
        for name, values in self.values.items():
            samples = int((~values.isfinite()).flatten(1).any(1).sum())
            if samples:
                raise MMParetoError(
                    f"Predictions {source} should be finite. Found those of '{name}' not to be for "
                    f"{samples} of {len(values)} samples. {REMEDY}"
                )

    def scores(self, target: Target) -> dict[str, float]:
        """Scores, as ``{objective}_{metric}``, each over the samples that have the prediction.

        Example:
            >>> from mmpareto.specs import Classes
            >>> logits, rows = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 2])
            >>> predictions = Predictions(
            ...     {"joint": logits}, {"joint": rows}, label=torch.tensor([1, 0, 1])
            ... )
            >>> predictions.scores(Classes(("cat", "dog")))
            {'joint_accuracy': 0.5}
        """
        scores: dict[str, float] = {}
        for name, values in self.values.items():
            label = self.label[self.rows[name]]
            scores[f"{name}_{target.metric}"] = target.score(values, label)
        return scores


class Collector:
    """Gathers the predictions of batches that come in order, on the processor.

    Scores are computed there: some need double precision, which not every device has.

    Args:
        modalities: The modalities of the model.
        outputs: Width of a prediction.
    """

    def __init__(self, modalities: Iterable[str], outputs: int) -> None:
        self._outputs = outputs
        self._values: dict[str, list[Tensor]] = {JOINT: []}
        self._rows: dict[str, list[Tensor]] = {JOINT: []}
        for modality in modalities:
            self._values[modality], self._rows[modality] = [], []
        self._labels: list[Tensor] = []
        self._ids: list[str] = []
        self._size = 0

    def add(self, predictions: Mapping[str, Tensor], batch: Batch) -> None:
        """Adds what was `predicted` of a batch on the model's device."""
        label, rows = batch[SCORED], batch["rows"]
        for name, values in predictions.items():
            self._values[name].append(values.float().cpu())
            self._rows[name].append(self._size + rows.get(name, torch.arange(len(label))).cpu())
        self._labels.append(label)
        ids = batch.get("id", ())
        self._ids += map(str, ids.tolist() if isinstance(ids, Tensor) else ids)
        self._size += len(label)

    def result(self) -> Predictions:
        """All of them, of the joint objective and of each modality."""
        label = torch.cat(self._labels)
        no_values, no_rows = torch.zeros(0, self._outputs), torch.zeros(0, dtype=torch.int64)
        values: dict[str, Tensor] = {}
        rows: dict[str, Tensor] = {}
        for name, batches in self._values.items():
            values[name] = torch.cat(batches) if batches else no_values
            rows[name] = torch.cat(self._rows[name]) if batches else no_rows
        return Predictions(values, rows, label, self._ids)
