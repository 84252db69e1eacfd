"""The families of methods, one abstract method each."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor

from mmpareto.balancing._hooks import Method
from mmpareto.errors import MMParetoError
from mmpareto.gradients import whole

GramianWeighting: TypeAlias = Callable[[Tensor], Tensor]


class GradientIntegration(Method, ABC):
    """Weights the objectives' gradients by their geometry, encoder by encoder."""

    @property
    def per_tensor(self) -> bool:
        """Whether the weights are those of each parameter tensor by itself, and so the Gramians."""
        return False

    @abstractmethod
    def weights(self, gramians: Tensor) -> Tensor:
        """Weights of the gradients on one encoder.

        Called once per step and encoder, under ``torch.no_grad`` and outside of autocast. It must
        not wait for the device (no ``.item()``, no branch on a tensor's value), must be unchanged
        by a common factor of all gradients, and must treat the gradients alike: permuting them
        permutes the weights. Every process computes them for itself: they must be a function of the
        Gramians alone, without randomness of a process's own.

        Args:
            gramians: Tensor [T, m, m], the Gramian of m gradients for each of T parts of the
                encoder, whose sum over T is the encoder's. The parts are its parameter tensors for
                a method that is `per_tensor`, else what makes few calls. The gradients are those of
                the m sides of the encoder's geometry (see `mmpareto.Geometry`).

        Returns:
            Tensor [m], or [T, m] for weights of each parameter tensor. All ones is the plain sum.
        """


class LossWeighting(Method):
    """Weights the objectives before they are differentiated, in one pass through the encoders."""

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        """Weight of each objective in what the encoders receive (the rest receives the plain sum).

        By default each counts alike.

        Args:
            objectives: Names of the objectives, those of the whole step or those that reach one
                encoder.

        Returns:
            One finite number per objective.
        """
        return [1.0] * len(objectives)


class CustomWeighting(GradientIntegration):
    """Any function from a Gramian to weights, for example one of TorchJD's weightings.

    Args:
        weighting: Takes the encoder's Gramian [m, m] and returns weights [m].

    Example:
        >>> import torch
        >>> method = CustomWeighting(lambda gramian: 1 / gramian.diagonal().sqrt())
        >>> method.weights(torch.tensor([[[4.0, 1.0], [1.0, 1.0]]]))
        tensor([0.5000, 1.0000])
    """

    def __init__(self, weighting: GramianWeighting) -> None:
        self.weighting = weighting

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        weights = self.weighting(gramian)
        if not isinstance(weights, Tensor) or weights.shape != gramian.shape[:1]:
            found = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
            raise MMParetoError(
                f"Parameter `method`, a callable, should return a tensor of {len(gramian)} weights "
                f"for a Gramian of shape {tuple(gramian.shape)}. Found {found}."
            )
        if weights.is_complex():
            raise MMParetoError(
                "Parameter `method`, a callable, should return real weights. Found "
                f"{weights.dtype}."
            )
        return weights
