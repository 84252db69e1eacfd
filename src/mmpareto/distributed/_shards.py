"""Sharded parameters: tensors of which every process holds a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmpareto.distributed._group import from_local, to_local


def is_sharded(parameter: Tensor) -> bool:
    """Whether `parameter` is a distributed tensor, as of FSDP2."""
    # Asked by attribute: the class is in a module that takes long to import.
    return hasattr(parameter, "device_mesh")


def local_part(gradient: Tensor, parameter: Tensor) -> Tensor:
    """This process's part of the gradient of `parameter`; all of it where that is not sharded."""
    return to_local(gradient, like=parameter) if is_sharded(parameter) else gradient


def as_distributed(part: Tensor, parameter: Tensor) -> Tensor:
    """The gradient of `parameter` from this process's part of it."""
    return from_local(part, like=parameter) if is_sharded(parameter) else part


def count_parts_once(gramians: Tensor, parameters: Sequence[Tensor], group_size: int) -> Tensor:
    """Scales Gramians of this process's parts so that their sum over processes is of the whole.

    Args:
        gramians: Tensor [T, m, m].
        parameters: The T parameters.
        group_size: Number of processes, which all hold what is not sharded.
    """
    factors = []
    for parameter in parameters:
        holders = _holders(parameter) if is_sharded(parameter) else group_size
        factors.append(1 / holders)
    scale = torch.tensor(factors, dtype=gramians.dtype)
    return gramians * scale.to(gramians.device, non_blocking=True)[:, None, None]


def processes(parameter: Any) -> int:
    """Over how many processes a sharded parameter is laid out."""
    size: int = parameter.device_mesh.size()
    return size


def _holders(parameter: Any) -> int:
    """How many processes hold the same part of a sharded parameter."""
    holders = 1
    for axis, placement in enumerate(parameter.placements):
        if placement.is_replicate():
            holders *= parameter.device_mesh.size(axis)
    return holders
