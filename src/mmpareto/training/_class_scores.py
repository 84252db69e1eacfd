"""What predictions are worth class by class, and without a modality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmpareto.data import MultimodalDataset
from mmpareto.models import MultimodalModel
from mmpareto.partition import JOINT
from mmpareto.specs import Classes, Labels, Target
from mmpareto.training._config import RunConfig
from mmpareto.training._evaluation import predict
from mmpareto.training._predictions import Predictions

_EVEN = 0.5


@dataclass(frozen=True)
class ClassScore:
    """What the joint predictions of a class, or of one of several labels, are worth.

    Args:
        name: Name of the class.
        precision: Share of right ones among the samples that are predicted to have it; NaN for
            none.
        recall: Share of those found among the samples that have it; NaN for none.
        f1: Harmonic mean of both; NaN where a class is neither predicted nor there.
        support: Number of samples that have it.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def class_scores(predictions: Predictions, target: Target) -> list[ClassScore]:
    """The score of each class; none where a number is predicted.

    Example:
        >>> logits, rows = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
        >>> predictions = Predictions({"joint": logits}, {"joint": rows}, torch.tensor([0, 1]))
        >>> class_scores(predictions, Classes(("cat", "dog")))[0].precision
        0.5
    """
    if not isinstance(target, Classes | Labels):
        return []
    values, label = predictions.values[JOINT], predictions.label[predictions.rows[JOINT]]
    if isinstance(target, Classes):
        predicted, truth = _places(values.argmax(1), target), _places(label, target)
    else:
        least = _EVEN if predictions.joint_is_expected else 0
        predicted, truth = values >= least, label > 0
    hits, named = (predicted & truth).sum(0).double(), predicted.sum(0).double()
    support = truth.sum(0)
    shares = torch.stack([hits / named, hits / support, 2 * hits / (named + support)], 1)
    rows = zip(target.names, shares.tolist(), support.tolist(), strict=True)
    scores: list[ClassScore] = []
    for name, (precision, recall, f1), count in rows:
        scores.append(ClassScore(name, precision, recall, f1, count))
    return scores


def _places(labels: Tensor, target: Target) -> Tensor:
    """Labels [N] as flags [N, classes]."""
    return torch.nn.functional.one_hot(labels, target.outputs).bool()


def confusion(predictions: Predictions, target: Classes) -> Tensor:
    """How many samples of each class (row) are predicted to be of each (column).

    Returns:
        int64 [classes, classes].
    """
    label = predictions.label[predictions.rows[JOINT]]
    cells = label * target.outputs + predictions.values[JOINT].argmax(1)
    return cells.bincount(minlength=target.outputs**2).view(target.outputs, -1)


@dataclass(frozen=True)
class Contribution:
    """What a modality adds to the joint prediction.

    Args:
        modality: Its name.
        with_it: The joint score, over the samples that have any other modality.
        without_it: The joint score where it is left out, over the same samples.
        count: Number of these samples.
    """

    modality: str
    with_it: float
    without_it: float
    count: int


def contributions(
    complete: Predictions, model: MultimodalModel, dataset: MultimodalDataset, config: RunConfig
) -> Iterator[Contribution]:
    """For each modality the joint score with and without it; none for a single modality.

    Args:
        complete: Predictions from all modalities.
        model: The model.
        dataset: The samples.
        config: The model's training.
    """
    target, modalities = config.data.target, tuple(config.shapes)
    for modality in modalities if len(modalities) > 1 else ():
        others = tuple(name for name in modalities if name != modality)
        left = predict(model, dataset, replace(config, modalities=others))
        rows = left.rows[JOINT]
        if len(rows):
            same = complete.values[JOINT][torch.isin(complete.rows[JOINT], rows)]
            label = left.label[rows]
            scores = (target.score(same, label), target.score(left.values[JOINT], label))
            yield Contribution(modality, *scores, len(rows))
