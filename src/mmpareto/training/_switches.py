"""Switches of the whole process that a training sets, and puts back."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

_HINTS = (
    ".*does not have many workers",  # the user has chosen their number
    "Checkpoint directory .* exists and is not empty",  # it is the training's own
    ".*LeafSpec.* is deprecated",  # Lightning 2.6 under torch 2.13
    "FSDP2-wrapped module .* returned a view",  # nothing changes it in place
)

_VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""What is set in the environment for determinism, by Lightning too."""


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Computes with `number` threads of the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def computing(number: int, device: torch.device) -> Iterator[None]:
    """Computes as a training does: deterministically, with so many threads of the processor.

    Where an accelerator has no deterministic kernel, torch warns.

    Args:
        number: Number of threads.
        device: The device that computes.
    """
    with threads(number), _deterministic(warn_only=device.type != "cpu"):
        yield


@contextmanager
def _deterministic(warn_only: bool) -> Iterator[None]:
    """Makes torch deterministic, and puts back, at the end, what does."""
    algorithms = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    fills_memory = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    benchmark = torch.backends.cudnn.benchmark
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    # Deterministic algorithms would also fill all new memory, which none of the kernels used here
    # reads.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=only_warned)
        deterministic.fill_uninitialized_memory = fills_memory  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark
        for name, value in variables.items():
            _set_variable(name, value)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's hints, which concern neither the result nor the user."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for hint in _HINTS:
            warnings.filterwarnings("ignore", message=hint)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
