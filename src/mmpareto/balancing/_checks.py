"""What settings of methods have to be."""

from __future__ import annotations

import math

from mmpareto.errors import MMParetoError


def check_not_negative(**settings: float) -> None:
    """Raises unless every setting is a finite number, at least 0."""
    for name, value in settings.items():
        if not _is_number(value) or value < 0:
            raise MMParetoError(
                f"Parameter `{name}` should be finite and not negative. Found {value!r}."
            )


def check_shares(**settings: float) -> None:
    """Raises unless every setting is a number from 0 to 1."""
    for name, value in settings.items():
        if not _is_number(value) or not 0 <= value <= 1:
            raise MMParetoError(f"Parameter `{name}` should be from 0 to 1. Found {value!r}.")


def check_gamma(gamma: float) -> None:
    """Raises unless `gamma` is a positive, finite number."""
    if not _is_number(gamma) or gamma <= 0:
        raise MMParetoError(f"Parameter `gamma` should be positive and finite. Found {gamma!r}.")


def _is_number(value: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
