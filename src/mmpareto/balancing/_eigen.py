r"""Eigenvalues without waiting for the device, as `torch.linalg.eigh` does to report failure.

The method of Jacobi (1846) turns the two axes of each pair until no pair has a product left. It
cannot fail, and finds small eigenvalues of graded matrices with all their digits (Demmel and
Veselic, SIAM J. Matrix Anal. Appl. 13, 1992).
"""

from __future__ import annotations

import torch
from torch import Tensor


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [m], in any order, and eigenvectors [m, m], a column each.

    Args:
        matrix: Positive semi-definite tensor [m, m].

    Example:
        >>> import torch
        >>> values, vectors = eigen(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> [round(value, 6) for value in values.tolist()]
        [1.0, 3.0]
    """
    m = len(matrix)
    even = m + m % 2  # an axis of its own makes up the pairs
    turned = torch.nn.functional.pad(matrix, (0, even - m, 0, even - m))
    vectors = torch.eye(even, dtype=matrix.dtype, device=matrix.device)
    # One turn settles two axes. More need some sweeps until each squares what is left.
    sweeps = 1 if even == 2 else 3 + even // 2
    for _ in range(sweeps * (even - 1)):
        turn = _next_pairs(_turns(turned))
        turned = turn.T @ turned @ turn
        vectors = vectors @ turn
    # After full sweeps every axis is where it was, the one that made up the pairs too.
    return turned.diagonal()[:m], vectors[:m, :m]


def inverse_powers(values: Tensor, power: float, dtype: torch.dtype) -> Tensor:
    """Powers of eigenvalues [m], as in a pseudo-inverse: zero where they are zero up to rounding.

    Args:
        values: Eigenvalues of a positive semi-definite matrix.
        power: The exponent, negative.
        dtype: The precision that the matrix was computed in.
    """
    noise = 16 * len(values) * torch.finfo(dtype).eps * values.amax()
    return torch.where(values > noise, values.clamp(min=0) ** power, 0.0)


def pseudo_solution(matrix: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """The shortest x [m] for which ``A x`` comes closest to a right side.

    Args:
        matrix: Positive semi-definite tensor [m, m], A.
        right: Tensor [m].
        dtype: The precision that A was computed in.
    """
    values, vectors = eigen(matrix)
    return vectors @ (inverse_powers(values, -1, dtype) * (right @ vectors))


def _turns(matrix: Tensor) -> Tensor:
    """The rotation that makes the axes 0 and 1, 2 and 3, ... of a matrix orthogonal in it."""
    first, second = matrix.diagonal()[0::2], matrix.diagonal()[1::2]
    product = matrix.diagonal(1)[0::2]
    ratio = (second - first) / (2 * product)
    tangent = torch.where(ratio < 0, -1.0, 1.0) / (ratio.abs() + (1 + ratio.square()).sqrt())
    tangent = torch.where(product == 0, 0.0, tangent)
    cosine = (1 + tangent.square()).rsqrt()
    sine = torch.stack([tangent * cosine, torch.zeros_like(cosine)], 1).flatten()[:-1]
    return cosine.repeat_interleave(2).diag() + sine.diag(1) - sine.diag(-1)


def _next_pairs(columns: Tensor) -> Tensor:
    """Columns in the order that pairs each axis with the next other, as players in a tournament."""
    if columns.shape[1] == 2:
        return columns
    left, right = columns[:, 0::2], columns[:, 1::2]
    next_left = torch.cat([left[:, :1], right[:, :1], left[:, 1:-1]], 1)
    next_right = torch.cat([right[:, 1:], left[:, -1:]], 1)
    return torch.stack([next_left, next_right], 2).flatten(1)
