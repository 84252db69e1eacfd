"""Gradients in flat buckets: few collectives, and no second copy of a large model's gradient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

BUCKET = 2**26
"""Bytes that one collective carries."""


def buckets(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters of one type and device, as many as fit into a bucket (or a single one), in their order.

    Example:
        >>> small, large = torch.zeros(3), torch.zeros(2**24)
        >>> [len(bucket) for bucket in buckets([small, small, large, small])]
        [2, 1, 1]
    """
    filled: defaultdict[tuple[torch.dtype, torch.device], list[list[Tensor]]] = defaultdict(list)
    free: dict[tuple[torch.dtype, torch.device], int] = {}
    for parameter in parameters:
        kind = (parameter.dtype, parameter.device)
        if parameter.nbytes > free.get(kind, -1):
            filled[kind].append([])
            free[kind] = BUCKET
        filled[kind][-1].append(parameter)
        free[kind] -= parameter.nbytes
    return [bucket for some in filled.values() for bucket in some]


def flatten(bucket: list[Tensor], gradients: dict[Tensor, Tensor | None]) -> Tensor:
    """The gradients of a bucket's parameters as one vector, zero where there is none; taken out of `gradients`."""
    parts = [gradients.pop(parameter) for parameter in bucket]
    return torch.cat(
        [
            p.new_zeros(p.numel()) if g is None else g.flatten()
            for g, p in zip(parts, bucket, strict=True)
        ]
    )


def unflatten(flat: Tensor, bucket: list[Tensor]) -> dict[Tensor, Tensor]:
    """Views of the vector by parameter, each in its parameter's shape."""
    pieces = torch.split(flat, [parameter.numel() for parameter in bucket])
    return {
        parameter: piece.view(parameter.shape)
        for parameter, piece in zip(bucket, pieces, strict=True)
    }
