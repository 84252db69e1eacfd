"""An encoder's gradients side by side in buckets: few calls, however many tensors there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

Column = list[Tensor | None]
"""For each of m objectives its gradient for one parameter tensor, or for all in one bucket."""

Layout = tuple[torch.Size, tuple[int, ...] | None]
"""Shape and strides of a tensor in a bucket; None for the strides of a contiguous one."""


def largest_bucket(device: torch.device) -> int:
    """Bytes of each objective's gradient in a bucket.

    What a call costs is worth many bytes on an accelerator, few on a processor.
    """
    return 2**16 if device.type == "cpu" else 2**25


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
        >>> gradients = [[torch.ones(2, 2), torch.ones(2)], [torch.zeros(2, 2), torch.zeros(2)]]
        >>> buckets = side_by_side(gradients, ["all", "all"])
        >>> buckets.rows
        [[tensor([1., 1., 1., 1., 1., 1.])], [tensor([0., 0., 0., 0., 0., 0.])]]
        >>> [tensor.shape for tensor in buckets.apart(buckets.rows[0])]
        [torch.Size([2, 2]), torch.Size([2])]
    """
    columns: list[Column] = list(map(list, zip(*gradients, strict=True)))
    count = len(gradients)
    for row in gradients:
        row.clear()
    numbers = _packed(columns, groups) if joined else [[number] for number in range(len(columns))]
    buckets = Buckets([[] for _ in range(count)], [], numbers, [])
    for members in numbers:
        vectors, layouts = _joined([columns[number] for number in members])
        for row, vector in zip(buckets.rows, vectors, strict=True):
            row.append(vector)
        buckets.groups.append(groups[members[0]])
        buckets.layouts.append(layouts)
        for number in members:
            columns[number].clear()
    gradients.clear()
    return buckets


def as_matrix(vectors: Sequence[Tensor]) -> Tensor | None:
    """The rows of a bucket as one matrix; None for tensors that do not lie side by side."""
    base = vectors[0]._base
    if base is None or base.numel() != len(vectors) * vectors[0].numel():
        return None
    alike = all(vector._base is base and vector.dim() == 1 for vector in vectors)
    return base.view(len(vectors), -1) if alike else None


def _packed(columns: Iterable[Column], groups: Iterable[object]) -> list[list[int]]:
    """Numbers of the tensors in each bucket, as many as fit or a single larger one."""
    buckets: list[list[int]] = []
    unfilled: dict[object, list[int]] = {}
    free: dict[object, int] = {}
    for number, (column, group) in enumerate(zip(columns, groups, strict=True)):
        kind, size, largest = _measured(column)
        kind = (group, kind)
        if 0 < size <= free.get(kind, 0):
            unfilled[kind].append(number)
            free[kind] -= size
            continue
        buckets.append([number])
        if largest - size > free.get(kind, 0):
            unfilled[kind], free[kind] = buckets[-1], largest - size
    return buckets


def _measured(column: Column) -> tuple[object, int, int]:
    """What is alike in a bucket, a tensor's bytes, and how many a bucket may have."""
    present = tuple(gradient is not None for gradient in column)
    for gradient in column:
        if gradient is not None and _is_plain(gradient):
            kind = (present, gradient.dtype, gradient.device)
            return kind, gradient.nbytes, largest_bucket(gradient.device)
    return present, 0, 0


def _joined(columns: Sequence[Column]) -> tuple[Column, list[Layout] | None]:
    """For each objective a vector of its gradients, and how they are laid out in it.

    Entries come in the order of memory, so that no memory format costs a copy.
    """
    layouts = list(map(_layout, columns))
    if len(columns) == 1 and layouts[0][1] is None:
        return list(columns[0]), None
    flat: list[list[Tensor]] = []
    for column, (shape, strides) in zip(columns, layouts, strict=True):
        present = [gradient for gradient in column if gradient is not None]
        if strides is None:
            flat.append([gradient.reshape(-1) for gradient in present])
        else:
            flat.append([gradient.as_strided((shape.numel(),), (1,)) for gradient in present])
    if len(flat) == 1:
        vectors = iter(flat[0])
    else:
        by_objective = chain.from_iterable(zip(*flat, strict=True))
        vectors = iter(torch.cat(list(by_objective)).view(len(flat[0]), -1).unbind())
    return [None if gradient is None else next(vectors) for gradient in columns[0]], layouts


def _layout(column: Column) -> Layout:
    """Shape of one tensor's gradients, and their strides if all are dense in another order."""
    shape, strides = torch.Size(), None
    for gradient in column:
        if gradient is None:
            continue
        if not _is_plain(gradient) or gradient.is_contiguous() or not _is_dense(gradient):
            return gradient.shape, None
        if strides not in (None, gradient.stride()):
            return gradient.shape, None
        shape, strides = gradient.shape, gradient.stride()
    return shape, strides


def _is_plain(gradient: Tensor) -> bool:
    return type(gradient) is Tensor and gradient.layout == torch.strided


def _is_dense(gradient: Tensor) -> bool:
    """Whether it lies in memory without gaps or repetitions, in whatever order."""
    step = 1
    for stride, size in sorted(zip(gradient.stride(), gradient.shape, strict=True)):
        if size > 1 and stride != step:
            return False
        step *= size
    return True
