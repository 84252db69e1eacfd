r"""Quadratic functions at their minimum over non-negative x, :math:`\frac12 x^\top Q x - q^\top x`.

Nothing here waits for the device: what other solvers branch on is decided by masks.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_ENUMERATED = 8


def nonnegative_minimum(matrix: Tensor, linear: Tensor) -> Tensor:
    """Minimizes ``x Q x / 2 - q x`` over x >= 0, for several q at once.

    Args:
        matrix: Tensor [m, m], Q, positive definite if only by rounding, of entries up to about 1.
        linear: Tensor [k, m], a q in each row.

    Returns:
        Tensor [k, m]. Exact up to rounding: all faces at once up to m = 8, an active-set method
        beyond.

    Example:
        >>> import torch
        >>> nonnegative_minimum(torch.eye(2), torch.tensor([[3.0, -1.0]]))
        tensor([[3., 0.]])
    """
    solve = over_faces if len(matrix) <= LARGEST_ENUMERATED else active_set
    return solve(matrix, linear)


def all_faces(m: int, device: torch.device) -> Tensor:
    """Masks [2^m, m] of all subsets of m vertices, the empty one first."""
    vertices = torch.arange(m, device=device)
    return (torch.arange(2**m, device=device)[:, None] >> vertices) & 1 == 1


def over_faces(matrix: Tensor, linear: Tensor) -> Tensor:
    """Minimizes by solving every face: the minimum is the one from which no vertex descends."""
    faces = all_faces(len(matrix), matrix.device)[:, None]
    x = stationary(matrix, linear, faces)
    descent = (linear - x @ matrix) / (1 + x.sum(-1, keepdim=True))
    inside = ((x >= 0) & x.isfinite()).all(-1)
    best = torch.where(inside, descent.amax(-1), torch.inf).argmin(0)
    return x.gather(0, best[None, :, None].expand(1, *linear.shape))[0]


def active_set(matrix: Tensor, linear: Tensor) -> Tensor:
    """Minimizes by moving from face to face.

    The method of Lawson and Hanson (Solving Least Squares Problems, 1974, chapter 23), with masks
    in place of branches and a fixed number of moves.
    """
    m = len(matrix)
    tolerance = 10 * m * torch.finfo(matrix.dtype).eps
    x, face = torch.zeros_like(linear), torch.zeros_like(linear, dtype=torch.bool)
    settled, vertices = ~face[:, :1], torch.arange(m, device=matrix.device)
    for _ in range(4 * m):
        # Once settled on a face, the vertex that promises the steepest descent joins it; one of
        # those that tie, since the system of a face with equal gradients is all but singular.
        descent = torch.where(~face, linear - x @ matrix, -torch.inf)
        steepest = vertices == descent.argmax(-1, keepdim=True)
        face = face | (settled & (descent > tolerance) & steepest)
        # Move to the face's minimum, or as far as x stays inside; the vertices that stop it are
        # dropped.
        target = torch.where(face, stationary(matrix, linear, face), 0.0)
        stops = face & (target <= 0)
        reach = torch.where(stops, x / (x - target), 1.0).nan_to_num(0.0)
        step = reach.amin(-1, keepdim=True)
        dropped = stops & (reach == step)
        x = torch.where(dropped, 0.0, x + step * (target - x))
        face, settled = face & ~dropped, ~dropped.any(-1, keepdim=True)
    return x


def stationary(matrix: Tensor, linear: Tensor, faces: Tensor) -> Tensor:
    """Stationary points [..., m] on faces, 0 outside of them.

    Args:
        matrix: Tensor [m, m], Q.
        linear: Tensor [..., m], q.
        faces: Masks [..., m].
    """
    both = faces[..., :, None] & faces[..., None, :]
    system = torch.where(
        both, matrix, torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    )
    solution: Tensor = torch.linalg.solve_ex(system, torch.where(faces, linear, 0.0)[..., None])[0]
    return solution[..., 0]
