"""The families of methods, one abstract method each."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from torch import Tensor

from mmpareto.balancing._balancer import AT_WORK, Balancer
from mmpareto.balancing._hooks import Method, overrides
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


def as_method(method: Method | Balancer | GramianWeighting) -> GradientIntegration | LossWeighting:
    """Returns `method`, wrapped if it is a plain callable from a Gramian to weights.

    Raises:
        MMParetoError: If it is neither, or has to be at work on a model.
    """
    if isinstance(method, Balancer):
        return _of_a_family(method.method)
    if isinstance(method, Method) and not method.trains:
        raise MMParetoError(
            "Parameter `method` should be one that makes steps. Found "
            f"{method.name}, which joins models that were trained before."
        )
    if isinstance(method, Method) and overrides(method, *AT_WORK):
        raise MMParetoError(
            f"Parameter `method` should be at work on a model. Found {method.name} by itself, "
            "which decides on more than gradients. Pass mp.Balancer(method, encoders), and show "
            "it each batch."
        )
    return _of_a_family(method)


def _of_a_family(method: Method | GramianWeighting) -> GradientIntegration | LossWeighting:
    if isinstance(method, GradientIntegration | LossWeighting):
        return method
    if isinstance(method, type) or not callable(method):
        raise MMParetoError(
            "Parameter `method` should be a method such as MMPareto(), or a callable from a "
            f"Gramian [m, m] to weights [m]. Found {method!r}."
        )
    return CustomWeighting(method)


def describe(method: Method | Balancer | GramianWeighting) -> str:
    """Text that tells one method from another, also in another process: no address is in it."""
    if isinstance(method, Balancer):
        return f"{describe(method.method)} at work, {method.settings}"
    described = method.weighting if isinstance(method, CustomWeighting) else method
    if type(described).__repr__ is object.__repr__ or not isinstance(described, Method):
        return str(getattr(described, "__qualname__", type(described).__qualname__))
    return repr(described)


def check_required(method: Method, objectives: Iterable[str]) -> None:
    """Raises unless `objectives` has what `method` requires."""
    if missing := sorted(method.requires - set(objectives)):
        raise MMParetoError(
            f"Parameter `losses` should have the key '{missing[0]}', without which {method.name} "
            f"has no meaning. Found {', '.join(map(repr, objectives))}."
        )


def check_gamma(gamma: float) -> None:
    """Raises unless `gamma` is a positive, finite number."""
    if isinstance(gamma, bool) or not (
        isinstance(gamma, int | float) and math.isfinite(gamma) and gamma > 0
    ):
        raise MMParetoError(f"Parameter `gamma` should be positive and finite. Found {gamma!r}.")
