"""Gradients in flat buckets: few collectives, and no second copy of a large model's gradient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

BUCKET = 2**26
"""Bytes that one collective carries."""


def buckets(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Groups parameters of one type and device, in their order.

    A bucket holds as many as fit, or a single larger one.

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
    result = []
    for of_one_kind in filled.values():
        result.extend(of_one_kind)
    return result


def fills_bucket(gradients: Mapping[Tensor, object]) -> bool:
    """Whether gradients of these parameters are enough to be sent."""
    return sum(parameter.nbytes for parameter in gradients) >= BUCKET


def flatten(
    bucket: list[Tensor], gradients: dict[Tensor, Tensor | None], *, padding: int = 0
) -> Tensor:
    """Joins the gradients of a bucket's parameters into one vector, zero where there is none.

    Args:
        bucket: The parameters.
        gradients: By parameter. Those of the bucket are taken out.
        padding: Number of zeros that follow.
    """
    parts = []
    for parameter in bucket:
        gradient = gradients.pop(parameter)
        if gradient is None:
            gradient = parameter.new_zeros(parameter.numel())
        parts.append(gradient.flatten())
    if padding:
        parts.append(parts[0].new_zeros(padding))
    return torch.cat(parts)


def unflatten(vector: Tensor, bucket: list[Tensor]) -> dict[Tensor, Tensor]:
    """Views of the vector by parameter, each in its parameter's shape; what follows is left out."""
    sizes = list(map(Tensor.numel, bucket))
    pieces = torch.split(vector[: sum(sizes)], sizes)
    views = {}
    for parameter, piece in zip(bucket, pieces, strict=True):
        views[parameter] = piece.view(parameter.shape)
    return views
