r"""Sides of an encoder's geometry: sums of some objectives' gradients that count as one.

With a matrix :math:`A \in \{0, 1\}^{m \times s}` that says which of m objectives is on which of s
sides, the sides' Gramian is :math:`A^\top G A`, and weights w of the sides are :math:`A w` of the
objectives: no gradient is touched.
"""

from __future__ import annotations

import torch
from torch import Tensor

Sides = tuple[tuple[int, ...], ...]
"""For each side the numbers of its objectives; each objective is on one at most."""


def each_alone(count: int) -> Sides:
    """Each of `count` objectives as a side by itself.

    Example:
        >>> each_alone(2)
        ((0,), (1,))
    """
    return tuple((number,) for number in range(count))


def side_gramians(gramians: Tensor, sides: Sides) -> Tensor:
    """Gramians of the sides from those of the objectives.

    A side whose objectives cancel, so that its length cannot be told from their products, has a
    zero gradient.

    Args:
        gramians: Tensor [T, m, m], for each of T parts of the encoder.
        sides: The s sides.

    Returns:
        Tensor [T, s, s]; `gramians` itself if each objective is a side.

    Example:
        >>> import torch
        >>> side_gramians(torch.eye(3)[None], ((0, 2), (1,)))
        tensor([[[2., 0.],
                 [0., 1.]]])
    """
    if sides == each_alone(gramians.shape[-1]):
        return gramians
    result = _sums(_sums(gramians, sides).transpose(-1, -2), sides)
    lengths = gramians.sum(0).diagonal().sqrt()
    noise = 16 * torch.finfo(gramians.dtype).eps * _sums(lengths, sides).square()
    cancels = (result.sum(0).diagonal() <= noise) & noise.isfinite()
    return result.masked_fill(cancels[:, None] | cancels, 0.0)


def objective_weights(weights: Tensor, sides: Sides, count: int) -> Tensor:
    """Weights of the objectives from those of the sides.

    Args:
        weights: Tensor [s], or [T, s] for each parameter tensor.
        sides: The s sides.
        count: Number m of objectives.

    Returns:
        Tensor [m] or [T, m]; zero for an objective that is on no side.

    Example:
        >>> import torch
        >>> objective_weights(torch.tensor([2.0, 3.0]), ((0, 2), (1,)), 4)
        tensor([2., 3., 2., 0.])
    """
    if sides == each_alone(count):
        return weights
    columns = [torch.zeros_like(weights[..., 0])] * count
    for side, weight in zip(sides, weights.unbind(-1), strict=True):
        for number in side:
            columns[number] = weight
    return torch.stack(columns, -1)


def _sums(values: Tensor, sides: Sides) -> Tensor:
    """For values [..., m] of the objectives the sums [..., s] over each side."""
    columns = values.unbind(-1)
    sums = []
    for side in sides:
        total = columns[side[0]]
        for number in side[1:]:
            total = total + columns[number]
        sums.append(total)
    return torch.stack(sums, -1)
