"""Samples of a batch that have a modality, and samples that lack it.

Models ask for the size of a batch by `shape`: `len` would fix it in a program that torch.export
makes.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Rows = Mapping[str, Tensor]
"""For each modality that some samples lack, int64 [n], which samples have it."""


def select_present(values: Tensor, rows: Tensor | None) -> Tensor:
    """The `rows` [n, ...] of values [B, ...]; all of them for None."""
    return values if rows is None else values.index_select(0, rows)


def scatter_present(values: Tensor, rows: Tensor | None, size: int) -> Tensor:
    """Values [n, ...] as those `rows` of a batch [size, ...] of zeros; unchanged for None.

    Example:
        >>> import torch
        >>> scatter_present(torch.tensor([[1.0], [2.0]]), torch.tensor([2, 0]), 3)
        tensor([[2.],
                [0.],
                [1.]])
    """
    if rows is None:
        return values
    return values.new_zeros(size, *values.shape[1:]).index_copy(0, rows, values)
