"""What a configuration is refused with."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, get_args

from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes
from mmpareto.training._device import Accelerator

if TYPE_CHECKING:
    from mmpareto.training._config import RunConfig

_LEAST = {
    "epochs": 1,
    "threads": 1,
    "devices": 1,
    "num_nodes": 1,
    "accumulate": 1,
    "batch_size": 2,
    "seed": 0,
    "workers": 0,
}
_CHOICES = {
    "strategy": ("auto", "ddp", "fsdp"),
    "accelerator": get_args(Accelerator),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}


def check_without_data(config: RunConfig) -> None:
    """Checks settings that can be judged without the data set.

    Raises:
        MMParetoError: If one makes no sense.
    """
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < least:
            raise MMParetoError(f"Parameter `{name}` should be at least {least}. Found {value!r}.")
    if config.seed >= 2**32:
        raise MMParetoError(f"Parameter `seed` should be less than 2**32. Found {config.seed!r}.")
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise MMParetoError(
                f"Parameter `{name}` should be {', '.join(choices[:-1])} or {choices[-1]}. Found "
                f"{getattr(config, name)!r}."
            )
    _check_shares(config)
    _check_learning(config)


def _check_shares(config: RunConfig) -> None:
    size, processes = config.batch_size, config.processes
    if size % processes or size < 2 * processes:
        raise MMParetoError(
            "Parameter `batch_size` should be a multiple of the number of processes, devices * "
            f"num_nodes = {processes}, and at least 2 for each. Found {size!r}."
        )
    parts = processes * config.accumulate
    if size % parts or size < 2 * parts:
        raise MMParetoError(
            "Parameter `accumulate` should divide each process's share of a batch, "
            f"{size // processes}, into equal parts of at least 2. Found {config.accumulate!r}."
        )


def _check_learning(config: RunConfig) -> None:
    if config.clip is not None and not (math.isfinite(config.clip) and config.clip > 0):
        raise MMParetoError(
            f"Parameter `clip` should be positive and finite, or None. Found {config.clip!r}."
        )
    if not 0 <= config.label_smoothing < 1:
        raise MMParetoError(
            "Parameter `label_smoothing` should be at least 0 and less than 1. Found "
            f"{config.label_smoothing!r}."
        )
    if config.patience is not None and config.patience < 1:
        raise MMParetoError(
            f"Parameter `patience` should be at least 1, or None. Found {config.patience!r}."
        )
    for name in ("lr_factors", "class_weights"):
        given = getattr(config, name)
        for value in given.values() if isinstance(given, dict) else ():
            if not (math.isfinite(value) and value >= 0):
                raise MMParetoError(
                    f"Parameter `{name}` should have finite values that are not negative. Found "
                    f"{value!r}."
                )


def check_with_data(config: RunConfig) -> None:
    """Checks what depends on the data set.

    Raises:
        MMParetoError: If a setting names what the data set does not have.
    """
    known = tuple(config.data.shapes)
    if config.modalities is not None:
        _check_names("modalities", config.modalities, known, least=1)
    _check_names("augmented", config.augmented or (), known)
    _check_names("lr_factors", config.lr_factors or (), config.modalities or known)
    plain = config.class_weights == "none" and not config.label_smoothing
    target = config.data.target
    if not plain and not isinstance(target, Classes):
        raise MMParetoError(
            "Parameters `class_weights` and `label_smoothing` should be left out where no single "
            f"class is predicted. Found {config.class_weights!r} and {config.label_smoothing!r}."
        )
    if isinstance(config.class_weights, dict) and isinstance(target, Classes):
        _check_names("class_weights", config.class_weights, target.names)


def _check_names(name: str, given: Collection[str], known: tuple[str, ...], least: int = 0) -> None:
    if len(given) < least or not set(given) <= set(known):
        shown = tuple(given)
        raise MMParetoError(f"Parameter `{name}` should be some of {known}. Found {shown!r}.")
