"""An encoder's gradients side by side in buckets: few calls, however many tensors there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import is_not

import torch
from torch import Tensor

Column = list[Tensor | None]
"""For each of m objectives its gradient for one parameter tensor, or for all in one bucket."""

Layout = tuple[torch.Size, tuple[int, ...] | None]
"""Shape and strides of a tensor in a bucket; None for the strides of a contiguous one."""


def largest_bucket(device: torch.device) -> int:
    """Bytes of each objective's gradient in a bucket.

    What a call costs is worth many bytes on an accelerator, and none on a processor.
    """
    return 0 if device.type == "cpu" else 2**25


@dataclass(frozen=True)
class Buckets:
    """Several objectives' gradients on one encoder, in K buckets of parameter tensors.

    Attributes:
        rows: For each of the m objectives one tensor for each bucket; None where it has no
            gradient.
        groups: The group of each bucket's tensors.
        numbers: The numbers of each bucket's tensors.
        layouts: Their layouts; None for a bucket that is one tensor as it was.
    """

    rows: list[list[Tensor | None]]
    groups: list[object]
    numbers: list[list[int]]
    layouts: list[list[Layout] | None]

    def apart(self, results: Sequence[Tensor | None]) -> list[Tensor | None]:
        """What belongs to each of the T tensors, as a view of what belongs to its bucket.

        Args:
            results: K tensors, each made as a sum of those in the bucket's rows.
        """
        tensors: list[Tensor | None] = [None] * sum(map(len, self.numbers))
        for result, numbers, layouts in zip(results, self.numbers, self.layouts, strict=True):
            if result is None or layouts is None:
                tensors[numbers[0]] = result
                continue
            pieces = torch.split(result, [shape.numel() for shape, _ in layouts])
            for number, piece, (shape, strides) in zip(numbers, pieces, layouts, strict=True):
                as_it_was = piece.as_strided(shape, strides) if strides else piece.view(shape)
                tensors[number] = as_it_was
        return tensors


def side_by_side(
    gradients: list[list[Tensor | None]], groups: Sequence[object], *, joined: bool = True
) -> Buckets:
    """Puts gradients into buckets: small tensors are copied into one, a large one stays as it is.

    A bucket's tensors are of one group, type and device, and the same objectives reach them. What
    is copied is released bucket by bucket: no second copy of an encoder's gradients ever exists.

    Args:
        gradients: For each of the m objectives, its gradient for each of T parameter tensors; None
            stands for zero. Emptied by the call.
        groups: The group of each tensor.
        joined: Whether tensors may share a bucket at all.

    Example:
        >>> gradient = [torch.ones(2, 2, device="meta"), torch.ones(2, device="meta")]
        >>> buckets = side_by_side([gradient], ["all", "all"])
        >>> [tensor.shape for tensor in buckets.rows[0]]
        [torch.Size([6])]
        >>> [tensor.shape for tensor in buckets.apart(buckets.rows[0])]
        [torch.Size([2, 2]), torch.Size([2])]
    """
    numbers = _packed(gradients, groups) if joined and _may_be_joined(gradients) else []
    if len(numbers) in (0, len(groups)):
        rows = list(map(list, gradients))
        _empty(gradients)
        alone = list(map(list, zip(range(len(groups)), strict=True)))
        return Buckets(rows, list(groups), alone, [None] * len(groups))
    columns: list[Column] = list(map(list, zip(*gradients, strict=True)))
    _empty(gradients)
    joined_columns, layouts = [], []
    for members in numbers:
        vectors, layouts_of_members = _joined(list(map(columns.__getitem__, members)))
        joined_columns.append(vectors)
        layouts.append(layouts_of_members)
        for number in members:
            columns[number].clear()
    rows = list(map(list, zip(*joined_columns, strict=True)))
    return Buckets(rows, list(map(groups.__getitem__, map(min, numbers))), numbers, layouts)


def _empty(gradients: list[list[Tensor | None]]) -> None:
    for row in gradients:
        row.clear()
    gradients.clear()


def as_matrix(vectors: Sequence[Tensor | None]) -> Tensor | None:
    """The rows of a bucket as one matrix; None for tensors that do not lie side by side."""
    first = vectors[0] if vectors else None
    base = None if first is None else first._base
    if first is None or base is None or base.numel() != len(vectors) * first.numel():
        return None
    if first.dim() != 1 or any(vector is None or vector._base is not base for vector in vectors):
        return None
    return base.view(len(vectors), -1)


def _may_be_joined(gradients: Sequence[Column]) -> bool:
    """Whether a bucket has room at all, on the device of an encoder."""
    for gradient in chain.from_iterable(gradients):
        if gradient is not None:
            return largest_bucket(gradient.device) > 0
    return False


def _packed(rows: Sequence[Column], groups: Sequence[object]) -> list[list[int]]:
    """Numbers of the tensors in each bucket, as many as fit or a single larger one."""
    buckets: list[list[int]] = []
    unfilled: dict[object, list[int]] = {}
    free: dict[object, int] = {}
    for number, column in enumerate(zip(*rows, strict=True)):
        alike, size, largest = _measured(column)
        kind = (groups[number], alike)
        if 0 < size <= free.get(kind, 0):
            unfilled[kind].append(number)
            free[kind] -= size
            continue
        buckets.append([number])
        if largest - size > free.get(kind, 0):
            unfilled[kind], free[kind] = buckets[-1], largest - size
    return buckets


def _measured(column: Sequence[Tensor | None]) -> tuple[object, int, int]:
    """What is alike in a bucket, a tensor's bytes, and how many a bucket may have."""
    for gradient in column:
        if gradient is not None and is_plain(gradient):
            reached = tuple(map(is_not, column, repeat(None)))
            kind = (reached, gradient.dtype, gradient.device)
            return kind, gradient.nbytes, largest_bucket(gradient.device)
    return None, 0, 0


def _joined(columns: Sequence[Column]) -> tuple[Column, list[Layout] | None]:
    """For each objective a vector of its gradients, and how they are laid out in it."""
    if len(columns) == 1:
        return list(columns[0]), None
    layouts: list[Layout] = []
    vectors: list[list[Tensor]] = []
    for column in columns:
        layouts.append(_layout(present(column)))
        vectors.append(flat(present(column)))
    by_objective = list(chain.from_iterable(zip(*vectors, strict=True)))
    rows = iter(torch.cat(by_objective).view(len(vectors[0]), -1).unbind())
    return [None if gradient is None else next(rows) for gradient in columns[0]], layouts


def present(column: Sequence[Tensor | None]) -> list[Tensor]:
    """The gradients that are there."""
    return [gradient for gradient in column if gradient is not None]


def flat(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Several objectives' gradients for one tensor as vectors, their entries in one order.

    It is that of memory where it can be, so that no memory format costs a copy.
    """
    strides = None
    if gradients and not gradients[0].is_contiguous():
        shape, strides = _layout(gradients)
    if strides is None:
        return list(map(Tensor.flatten, gradients))
    return [gradient.as_strided((shape.numel(),), (1,)) for gradient in gradients]


def _layout(gradients: Sequence[Tensor]) -> Layout:
    """Their shape, and their strides if all are dense, alike, and not contiguous."""
    shape, strides = gradients[0].shape, gradients[0].stride()
    for gradient in gradients:
        if not is_plain(gradient) or gradient.is_contiguous() or gradient.stride() != strides:
            return shape, None
    return shape, strides if _is_dense(gradients[0]) else None


def is_plain(gradient: Tensor) -> bool:
    """Whether it is of no class of its own, and a part of one memory."""
    return type(gradient) is Tensor and gradient.layout == torch.strided


def _is_dense(gradient: Tensor) -> bool:
    """Whether it lies in memory without gaps or repetitions, in whatever order."""
    step = 1
    for stride, size in sorted(zip(gradient.stride(), gradient.shape, strict=True)):
        if size > 1 and stride != step:
            return False
        step *= size
    return True
