"""What a step is given as its method, and what is asked of it there."""

from __future__ import annotations

from collections.abc import Iterable

from mmpareto.balancing._balancer import AT_WORK, Balancer
from mmpareto.balancing._hooks import Method, overrides
from mmpareto.balancing._method import (
    CustomWeighting,
    GradientIntegration,
    GramianWeighting,
    LossWeighting,
)
from mmpareto.errors import MMParetoError


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
