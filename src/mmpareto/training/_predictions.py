"""Predictions of a model, of a batch and of a whole data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.data import Batch
from mmpareto.models import MultimodalModel
from mmpareto.partition import JOINT
from mmpareto.specs import Target


def predicted(model: MultimodalModel, batch: Batch) -> dict[str, Tensor]:
    """Predictions by objective, each of those samples of a batch, as a loader makes it, that can have it.

    Without any modality there is none.
    """
    inputs, rows = batch["inputs"], batch["rows"]
    if not inputs:
        return {}
    output = model(inputs, rows) if rows else model(inputs)
    joint = output.joint.index_select(0, rows[JOINT]) if JOINT in rows else output.joint
    return {JOINT: joint, **output.unimodal}


def objectives(target: Target, model: MultimodalModel, batch: Batch) -> dict[str, Tensor]:
    """Loss of the joint and of each unimodal prediction, the mean over the samples that can have it."""
    label, rows = batch["label"], batch["rows"]
    return {
        name: target.loss(prediction, label[rows[name]] if name in rows else label)
        for name, prediction in predicted(model, batch).items()
    }


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of a data set.

    Args:
        values: By objective, [n, outputs].
        rows: By objective int64 [n], which samples they are of.
        label: Of all N samples.
    """

    values: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]
    label: Tensor

    def scores(self, target: Target) -> dict[str, float]:
        """What they are worth, as ``{objective}_{metric}``, each over the samples that have the prediction.

        Example:
            >>> from mmpareto.specs import Classes
            >>> logits, rows = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 2])
            >>> label = torch.tensor([1, 0, 1])
            >>> Predictions({"joint": logits}, {"joint": rows}, label).scores(Classes(("cat", "dog")))
            {'joint_accuracy': 0.5}
        """
        return {
            f"{name}_{target.metric}": target.score(values, self.label[self.rows[name]])
            for name, values in self.values.items()
        }


def averaged(alone: Mapping[str, Predictions], target: Target) -> Predictions:
    """What models of one modality each predict, and as the joint prediction the mean of what they expect.

    Args:
        alone: By modality the predictions of its model, of the same samples; their joint ones
            count.
        target: What they predict.

    Returns:
        By modality what its model expects; the joint expectation of a sample is the mean over the
        modalities it has.
    """
    values = {modality: target.expectation(of.values[JOINT]) for modality, of in alone.items()}
    rows = {modality: of.rows[JOINT] for modality, of in alone.items()}
    label = next(iter(alone.values())).label
    like = next(iter(values.values()))
    total, count = like.new_zeros(len(label), like.shape[1]), like.new_zeros(len(label), 1)
    for modality, own in rows.items():
        total.index_add_(0, own, values[modality])
        count[own] += 1
    some = count[:, 0].nonzero()[:, 0]
    return Predictions({JOINT: total[some] / count[some], **values}, {JOINT: some, **rows}, label)


class Collector:
    """Gathers the predictions of batches that come in order.

    Args:
        modalities: Of the model.
        outputs: Width of a prediction.
    """

    def __init__(self, modalities: Iterable[str], outputs: int) -> None:
        self._outputs, names = outputs, (JOINT, *modalities)
        self._values: dict[str, list[Tensor]] = {name: [] for name in names}
        self._rows: dict[str, list[Tensor]] = {name: [] for name in names}
        self._labels: list[Tensor] = []
        self._size = 0

    def add(self, predictions: Mapping[str, Tensor], batch: Batch) -> None:
        """Adds what was `predicted` of a batch."""
        label, rows = batch["label"], batch["rows"]
        for name, values in predictions.items():
            own = rows[name] if name in rows else torch.arange(len(label), device=label.device)
            self._values[name].append(values)
            self._rows[name].append(self._size + own)
        self._labels.append(label)
        self._size += len(label)

    def result(self) -> Predictions:
        """All of them, of the joint objective and of each modality."""
        label = torch.cat(self._labels)
        none = torch.zeros(0, self._outputs, device=label.device)
        nowhere = label.new_zeros(0, dtype=torch.int64)
        return Predictions(
            {name: torch.cat(values) if values else none for name, values in self._values.items()},
            {name: torch.cat(rows) if rows else nowhere for name, rows in self._rows.items()},
            label,
        )
