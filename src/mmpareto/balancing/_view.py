"""What hooks of methods are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT
from mmpareto.specs import Classes, Target

CLASSES = Classes(())
"""What is predicted where nothing else is said: one of several classes."""

Features = Mapping[str, Tensor]
"""For each modality present its features [B, ...]; zero for samples that lack it."""

Random = Callable[[int], Tensor]
"""Gives for each sample of the batch so many numbers, uniform in [0, 1)."""


def _no_numbers(count: int) -> Tensor:
    raise NotImplementedError


def _no_number() -> Tensor:
    raise NotImplementedError


@dataclass(frozen=True, eq=False)
class View:
    """One batch in training, as a method sees it.

    Args:
        label: Labels [B, ...].
        features: For each modality present the encoder's output [B, ...].
        fuse: From the features of any subset of modalities, also none, to the joint prediction
            [B, outputs]; that of none may be [1, outputs].
        logits: Predictions by objective, ``"joint"`` and the modalities; of a modality that only n
            samples have [n, outputs].
        losses: The batch's mean loss by objective.
        rows: For each modality that some samples lack, int64 [n], which have it.
        inputs: For each modality present its inputs [B, ...].
        target: What is predicted.
        epoch: Number of the epoch, from 0.
        uniform: Random numbers that depend on seed, batch and sample; a `Balancer` gives them.
        once: A random number 0-d that depends on seed and batch, equal on all processes.
    """

    label: Tensor
    features: Features
    fuse: Callable[[Features], Tensor]
    logits: Mapping[str, Tensor] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    target: Target = CLASSES
    epoch: int = 0
    uniform: Random = _no_numbers
    once: Callable[[], Tensor] = _no_number

    def having(self, modality: str, values: Tensor) -> Tensor:
        """Of values [B, ...] those [n, ...] of the samples that have the modality.

        Under ``"joint"``, those that have any.
        """
        rows = self.rows.get(modality)
        return values if rows is None else values.index_select(0, rows)

    def spread(self, modality: str) -> Tensor:
        """A modality's predictions [B, outputs], NaN for samples that lack it."""
        return spread_over(self.logits[modality], self.rows.get(modality), len(self.label))

    @cached_property
    def slices(self) -> dict[str, Tensor]:
        r"""For each modality its share [n, outputs] of the joint prediction, without a graph.

        :math:`z_m = \mathrm{fuse}(x_m) - (1 - 1/M)\,\mathrm{fuse}()`: for a linear head on M
        concatenated features exactly :math:`W_m x_m + b / M`. For other heads it is the prediction
        from that modality alone, less a constant.
        """
        if not self.features:
            return {}
        with torch.no_grad():
            rest = (1 - 1 / max(1, len(self.features))) * self.fuse({})
            shares = {}
            for modality, feature in self.features.items():
                shares[modality] = self.having(modality, self.fuse({modality: feature}) - rest)
            return shares

    def confidences(self, predictions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Probability [n] that each modality's prediction gives to the truth.

        Args:
            predictions: For each modality [n, outputs], of the samples that have it.
        """
        scores = {}
        for modality, prediction in predictions.items():
            truth = self.having(modality, self.label)
            scores[modality] = self.target.confidence(prediction, truth)
        return scores

    def joint_loss(self, prediction: Tensor) -> Tensor:
        """The mean loss of a joint prediction [B, outputs], over samples with any modality."""
        label = self.having(JOINT, self.label)
        return self.target.loss(self.having(JOINT, prediction), label)


def spread_over(prediction: Tensor, rows: Tensor | None, size: int) -> Tensor:
    """Predictions [size, outputs], NaN for samples that have none.

    Args:
        prediction: Those of n samples, [n, outputs].
        rows: int64 [n], which samples these are; None for all.
        size: Number of all samples.
    """
    if rows is None:
        return prediction
    absent = prediction.new_full((size, prediction.shape[1]), torch.nan)
    return absent.index_copy(0, rows, prediction)


def check_classes(method: str, target: Target) -> None:
    """Raises unless one of several classes is predicted."""
    if not isinstance(target, Classes):
        raise MMParetoError(
            f"Parameter `method` should be one for the target {type(target).__name__}. Found "
            f"{method}, which is defined for one of several classes."
        )
