"""What a geometry remembers, read from where it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmpareto.errors import MMParetoError

Remembered = dict[str, tuple[tuple[str, ...], Tensor]]
"""For each encoder the names of m objectives, and their weights [m]."""


def read_state(state: Mapping[str, Any]) -> tuple[int, Remembered, dict[str, Any] | None]:
    """The age, the weights and the owner in what `mmpareto.Geometry.state_dict` returned.

    Raises:
        MMParetoError: If `state` is nothing of the kind.
    """
    try:
        age, owner = int(state["age"]), state["owner"]
        if age < 0:
            raise ValueError(f"an age of {age}")
        if owner is not None:
            owner = {"method": owner["method"], "encoders": owner["encoders"]}
        weights: Remembered = {}
        for encoder, remembered in state["weights"].items():
            objectives, values = tuple(remembered["objectives"]), remembered["weights"]
            if values.shape != (len(objectives),):
                raise ValueError(f"weights of shape {tuple(values.shape)} of {len(objectives)}")
            weights[encoder] = (objectives, values.detach().clone())
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise MMParetoError(
            "Parameter `state` should be what Geometry.state_dict() returned. Found "
            f"{type(state).__name__} ({type(error).__name__}: {error})."
        ) from error
    return age, weights, owner
