"""Sharded parameters: tensors of which every process holds a part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmpareto.distributed._group import from_local, to_local


def is_sharded(parameter: Tensor) -> bool:
    """Whether `parameter` is a distributed tensor, as of FSDP2."""
    return hasattr(parameter, "device_mesh")


def local_part(gradient: Tensor, parameter: Tensor) -> Tensor:
    """This process's part of the gradient of `parameter`; all of it where that is not sharded."""
    return to_local(gradient, like=parameter) if is_sharded(parameter) else gradient


def as_distributed(part: Tensor, parameter: Tensor) -> Tensor:
    """The gradient of `parameter` from this process's part of it."""
    return from_local(part, like=parameter) if is_sharded(parameter) else part


def count_parts_once(gramians: Tensor, parameters: Sequence[Tensor], group_size: int) -> Tensor:
    """Scales Gramians of this process's parts so that their sum over processes counts every part once.

    Args:
        gramians: Tensor [T, m, m].
        parameters: The T parameters.
        group_size: Number of processes, which all hold what is not sharded.
    """
    holders = [
        _holders(parameter) if is_sharded(parameter) else group_size for parameter in parameters
    ]
    factors = torch.tensor([1 / number for number in holders], dtype=gramians.dtype)
    return gramians * factors.to(gramians.device, non_blocking=True)[:, None, None]


def processes(parameter: Any) -> int:
    """Over how many processes a sharded parameter is laid out."""
    size: int = parameter.device_mesh.size()
    return size


def _holders(parameter: Any) -> int:
    """How many processes hold the same part of a sharded parameter."""
    mesh, placements = parameter.device_mesh, parameter.placements
    return math.prod(
        mesh.size(axis) for axis, placement in enumerate(placements) if placement.is_replicate()
    )
