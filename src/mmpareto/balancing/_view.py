"""What hooks of methods are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT, Partition
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
        prediction, rows = self.logits[modality], self.rows.get(modality)
        if rows is None:
            return prediction
        absent = prediction.new_full((len(self.label), prediction.shape[1]), torch.nan)
        return absent.index_copy(0, rows, prediction)

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


class Evidence(Mapping[str, Tensor]):
    """Means over all samples of all processes, 0-d or [width], by modality.

    Args:
        means: By modality; 0 where no sample had it.
        complete: Boolean 0-d, whether every modality had a sample. Without one a method cannot
            compare: scales are 1 then, and what is remembered should stay as it is.
    """

    def __init__(self, means: Mapping[str, Tensor], complete: Tensor) -> None:
        self._means, self.complete = dict(means), complete

    def __getitem__(self, modality: str) -> Tensor:
        return self._means[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._means)

    def __len__(self) -> int:
        return len(self._means)

    def others(self, modality: str) -> list[Tensor]:
        """The means of the other modalities."""
        return [value for name, value in self._means.items() if name != modality]

    def ratio(self, modality: str) -> Tensor:
        """A modality's mean over the mean of the others'; 1 for a single modality."""
        others = self.others(modality)
        own = self._means[modality]
        return own / torch.stack(others).mean() if others else torch.ones_like(own)


@dataclass(frozen=True, eq=False)
class Setup:
    """What a training consists of when it begins.

    Args:
        encoders: The partition; its ``model`` is the whole model, if that is known.
        target: What is predicted.
        widths: For each modality the width of its features, if known.
        trained: Models of the trainings that came first, by their names.
    """

    encoders: Partition
    target: Target = CLASSES
    widths: Mapping[str, int] = field(default_factory=dict)
    trained: Mapping[str, nn.Module] = field(default_factory=dict)

    def zeros(self, *shape: int) -> Tensor:
        """Zeros on the model's device, in its precision or float32, whichever is higher."""
        return zeros_like_weights(self.encoders, *shape)


@dataclass(frozen=True, eq=False)
class Survey:
    """The beginning of an epoch.

    Args:
        epoch: Its number, from 0.
        encoders: The partition.
        read: Makes a pass without gradients, in evaluation mode, over a part of the data, ``train``
            or ``held-out``, with the model that is trained, or with another. It gives what each
            batch showed.
        initial: Gives the model's initial weights, by the names in its ``state_dict``.
    """

    epoch: int
    encoders: Partition
    read: Callable[..., Iterator[View]] = lambda part, model=None: iter(())
    initial: Callable[[], Mapping[str, Tensor]] = dict


def zeros_like_weights(encoders: Partition, *shape: int) -> Tensor:
    """Zeros where the weights are, in their precision or float32, whichever is higher."""
    weight = encoders.parameters[0]
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.zeros(shape, dtype=dtype, device=weight.device)


class Names(nn.Module):
    """The names of all modalities, for memories that need no more.

    Args:
        encoders: The partition.
    """

    def __init__(self, encoders: Partition) -> None:
        super().__init__()
        self.modalities = list(encoders)


def check_classes(method: str, target: Target) -> None:
    """Raises unless one of several classes is predicted."""
    if not isinstance(target, Classes):
        raise MMParetoError(
            f"Parameter `method` should be one for the target {type(target).__name__}. Found "
            f"{method}, which is defined for one of several classes."
        )
