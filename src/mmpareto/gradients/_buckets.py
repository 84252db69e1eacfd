"""An encoder's parameter tensors in buckets: few calls, however many tensors there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

_LARGEST = {"cpu": 2**16}
_LARGEST_ELSEWHERE = 2**25
"""Bytes of each objective's gradient in a bucket, which are copied to be side by side. What a call
costs is worth many bytes on an accelerator, few on a processor."""


@dataclass(frozen=True)
class Bucket:
    """Parameter tensors whose gradients are handled as one vector.

    Attributes:
        tensors: Their numbers.
        objectives: Numbers of the objectives that have a gradient for each of them.
    """

    tensors: list[int]
    objectives: tuple[int, ...]


def buckets(gradients: Sequence[Sequence[Tensor | None]], *, joined: bool) -> list[Bucket]:
    """Groups an encoder's parameter tensors by who has a gradient there, by type and device.

    Args:
        gradients: For each of the m objectives its gradient for each of T parameter tensors.
        joined: Whether tensors may share a bucket, which holds as many as fit, or a larger one.

    Example:
        >>> small, large = torch.zeros(3), torch.zeros(2**20)
        >>> for bucket in buckets([[small, large, small, None]], joined=True):
        ...     print(bucket.tensors, bucket.objectives)
        [0, 2] (0,)
        [1] (0,)
        [3] ()
    """
    result: list[Bucket] = []
    unfilled: dict[object, Bucket] = {}
    free: dict[object, int] = {}
    for number, column in enumerate(zip(*gradients, strict=True)):
        present = {o: gradient for o, gradient in enumerate(column) if gradient is not None}
        kind, size = _kind(present), 0
        if joined and kind is not None:
            size = next(iter(present.values())).nbytes
        if size and size <= free.get(kind, 0):
            unfilled[kind].tensors.append(number)
            free[kind] -= size
            continue
        result.append(Bucket([number], tuple(present)))
        room = _largest(present) - size if size else 0
        if room > free.get(kind, 0):
            unfilled[kind], free[kind] = result[-1], room
    return result


def _kind(present: dict[int, Tensor]) -> object:
    """What is alike in a bucket; None for what can share none."""
    for gradient in present.values():
        if type(gradient) is not Tensor or gradient.layout != torch.strided:
            return None
        return tuple(present), gradient.dtype, gradient.device
    return None


def _largest(present: dict[int, Tensor]) -> int:
    device = next(iter(present.values())).device.type
    return _LARGEST.get(device, _LARGEST_ELSEWHERE)


def columns(bucket: Bucket, gradients: Sequence[Sequence[Tensor | None]]) -> list[list[Tensor]]:
    """For each tensor of a bucket its gradients, by objective."""
    result: list[list[Tensor]] = []
    for number in bucket.tensors:
        column = (gradients[objective][number] for objective in bucket.objectives)
        result.append([gradient for gradient in column if gradient is not None])
    return result


def side_by_side(columns: Sequence[Sequence[Tensor]], dtype: torch.dtype) -> list[Tensor]:
    """By objective the gradients for all tensors as one vector, as whole as they are one by one.

    The entries of a tensor come in the order of its memory, so that no memory format costs a copy.
    """
    vectors = list(map(_flat, columns))
    if len(vectors) == 1:
        return [vector.to(dtype) for vector in vectors[0]]
    by_objective = chain.from_iterable(zip(*vectors, strict=True))
    return list(torch.cat(list(by_objective)).to(dtype).view(len(columns[0]), -1).unbind())


Layout = tuple[torch.Size, tuple[int, ...] | None]
"""Shape of a tensor, and its strides; None for those of a contiguous one."""


def layout(column: Sequence[Tensor]) -> Layout:
    """In which order `side_by_side` takes the entries of a tensor from its gradients."""
    first = column[0]
    strides = first.stride()
    alike = all(gradient.stride() == strides for gradient in column)
    return first.shape, strides if alike and _is_dense(first) else None


def apart(vector: Tensor, layouts: Sequence[Layout]) -> list[Tensor]:
    """Views of a vector for each tensor whose gradients it was made of."""
    pieces = torch.split(vector, [shape.numel() for shape, _ in layouts])
    views = []
    for piece, (shape, strides) in zip(pieces, layouts, strict=True):
        views.append(piece.view(shape) if strides is None else piece.as_strided(shape, strides))
    return views


def _flat(column: Sequence[Tensor]) -> list[Tensor]:
    if layout(column)[1] is None:
        return [gradient.flatten() for gradient in column]
    return [gradient.as_strided((gradient.numel(),), (1,)) for gradient in column]


def _is_dense(gradient: Tensor) -> bool:
    """Whether it lies in memory without gaps or repetitions, in whatever order."""
    if gradient.is_contiguous():
        return True
    step = 1
    for stride, size in sorted(zip(gradient.stride(), gradient.shape, strict=True)):
        if size > 1 and stride != step:
            return False
        step *= size
    return True
