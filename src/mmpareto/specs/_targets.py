"""What a model predicts: how it is learned, and how a prediction is scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from mmpareto.errors import MMParetoError


class Target(ABC):
    """What a model predicts.

    Attributes:
        metric: Name of the score in files, as in ``joint_accuracy``.
        title: Name of the score in sentences.
    """

    metric: ClassVar[str]
    title: ClassVar[str]

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Width of a prediction."""

    def standardised(self, label: Tensor) -> Tensor:
        """Labels of a data set as `loss` takes them; by default as they are."""
        return label

    @abstractmethod
    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        """The mean loss, a scalar, of predictions [B, outputs].

        Args:
            prediction: Predictions [B, outputs].
            label: Labels of the samples, as `standardised` returns them.
        """

    def losses(self, prediction: Tensor, label: Tensor) -> Tensor:
        """The loss [B] of each of the predictions [B, outputs]."""
        pairs = zip(prediction[:, None], label[:, None], strict=True)
        return torch.stack([self.loss(one, truth) for one, truth in pairs])

    def confidence(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Probability [B] that predictions [B, outputs] give to the truth.

        Raises:
            MMParetoError: If the target has no probabilities.
        """
        raise MMParetoError(
            "A target should be one of classes or labels for a method that asks how likely a "
            f"prediction makes the truth. Found {type(self).__name__}. Choose another method."
        )

    @abstractmethod
    def score(self, prediction: Tensor, label: Tensor) -> float:
        """What predictions [N, outputs] are worth, at most 1; more is better.

        NaN where that is not defined.
        """

    @abstractmethod
    def expectation(self, prediction: Tensor) -> Tensor:
        """What predictions [N, outputs] say to expect: probabilities, or a number.

        Expectations of several models can be averaged. They score as the predictions do.
        """


@cache
def _on(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Weights on a device, copied there once."""
    return torch.tensor(weights, device=device)


@dataclass(frozen=True)
class Classes(Target):
    """One of several classes; labels are int64 [N].

    Args:
        names: Names of the classes, by label.
        weights: What samples of a class count for in the loss, by label; None for all alike.
        smoothing: Part of a label that the loss spreads over all classes.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> Classes(("cat", "dog")).score(logits, torch.tensor([1, 1]))
        0.5
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    smoothing: float = 0.0
    metric = "accuracy"
    title = "accuracy"

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return len(self.names)

    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy, the weighted mean over samples."""
        weight = None if self.weights is None else _on(self.weights, prediction.device)
        return functional.cross_entropy(prediction, label, weight, label_smoothing=self.smoothing)

    def losses(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of each sample."""
        return functional.cross_entropy(prediction, label, reduction="none")

    def confidence(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Probability of the class."""
        return prediction.softmax(1).gather(1, label[:, None])[:, 0]

    def score(self, prediction: Tensor, label: Tensor) -> float:
        """Share of samples whose largest logit is that of their class; NaN if a logit is NaN."""
        if prediction.isnan().any():
            return float("nan")
        return (prediction.argmax(1) == label).double().mean().item()

    def expectation(self, prediction: Tensor) -> Tensor:
        """Probability of each class."""
        return prediction.softmax(1)


@dataclass(frozen=True)
class Labels(Target):
    """Any number of several labels; labels are float [N, C] of zeros and ones.

    Args:
        names: Names of the labels.

    Example:
        >>> import torch
        >>> target = Labels(("rain", "wind"))
        >>> label = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> target.score(torch.tensor([[0.9, -1.0], [0.1, 2.0]]), label)
        1.0
    """

    names: tuple[str, ...]
    metric = "precision"
    title = "mean average precision"

    @property
    def outputs(self) -> int:
        """Number of labels."""
        return len(self.names)

    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over labels."""
        return functional.binary_cross_entropy_with_logits(prediction, label)

    def losses(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Binary cross-entropy of each sample, the mean over labels."""
        return functional.binary_cross_entropy_with_logits(
            prediction, label, reduction="none"
        ).mean(1)

    def confidence(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Probability of each label's truth, the mean over labels."""
        likely = prediction.sigmoid()
        return torch.where(label > 0, likely, 1 - likely).mean(1)

    def score(self, prediction: Tensor, label: Tensor) -> float:
        """Average precision, its mean over the labels that at least one sample has.

        NaN where no sample has any, or a prediction is NaN.
        """
        from sklearn.metrics import average_precision_score

        if prediction.isnan().any():
            return float("nan")
        known = label.bool().any(0)
        pairs = zip(label.T[known].cpu(), prediction.T[known].cpu(), strict=True)
        scores = [
            float(average_precision_score(truth.numpy(), given.numpy())) for truth, given in pairs
        ]
        return sum(scores) / len(scores) if scores else float("nan")

    def expectation(self, prediction: Tensor) -> Tensor:
        """Probability of each label."""
        return prediction.sigmoid()


@dataclass(frozen=True)
class Number(Target):
    """A number; labels are float [N]. It is learned in units of the training part's spread.

    Labels that differ by little beside their size, such as times in seconds since 1970, should be
    float64.

    Args:
        name: What the number is, as in "age".
        mean: Mean of the training part's labels.
        std: Their standard deviation, positive.

    Example:
        >>> import torch
        >>> target = Number("age", mean=40.0, std=10.0)
        >>> target.score(torch.tensor([[-1.0], [1.0]]), torch.tensor([30.0, 50.0]))
        1.0
    """

    name: str
    mean: float = 0.0
    std: float = 1.0
    metric = "r2"
    title = "R\N{SUPERSCRIPT TWO}"

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def standardised(self, label: Tensor) -> Tensor:
        """Labels in units of the training part's spread, float32."""
        return ((label - self.mean) / self.std).float()

    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Mean squared error, over the training part's variance."""
        return functional.mse_loss(prediction[:, 0], label)

    def score(self, prediction: Tensor, label: Tensor) -> float:
        """Share of the labels' variance that is explained; NaN where they have none."""
        standardised = (label.double() - self.mean) / self.std
        error = (prediction[:, 0].double() - standardised).square().sum()
        spread = (standardised - standardised.mean()).square().sum()
        return (1 - error / spread).item() if (label != label[:1]).any() else float("nan")

    def expectation(self, prediction: Tensor) -> Tensor:
        """The prediction itself, in double precision."""
        return prediction.double()
