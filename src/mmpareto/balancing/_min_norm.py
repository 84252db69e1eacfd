r"""The min-norm point of the convex hull of gradients, from their Gramian.

:math:`\min_w w^\top G w` over the simplex. The point is zero, or it has a positive product with
every gradient in the hull: a direction common to all objectives. Nothing here waits for the device,
and a common factor of the gradients, which scales G, changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmpareto.balancing._nonnegative import (
    LARGEST_ENUMERATED,
    active_set,
    all_faces,
    stationary,
)
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import nonzero


def min_norm_weights(gramian: Tensor) -> Tensor:
    """Weights on the simplex that give the shortest combination of gradients.

    Zero gradients take no part (weight 0): an objective that a batch says nothing about, such as a
    loss that is masked out, does not stop the others. If all are zero, any weights do.

    Args:
        gramian: Positive semi-definite tensor [m, m].

    Returns:
        Tensor [m], non-negative, of sum 1. Exact up to rounding: closed form for m = 2, all faces
        of the simplex at once up to m = 8, an active-set method beyond.

    Example:
        >>> import torch
        >>> min_norm_weights(torch.tensor([[4.0, -1.0], [-1.0, 1.0]]))
        tensor([0.2857, 0.7143])
    """
    alive = nonzero(gramian)
    # Rounding in G is what limits the result; the tiny systems that follow must add none of their
    # own.
    wide = gramian if gramian.device.type == "mps" else gramian.double()
    if len(gramian) == 1:
        weights = torch.ones_like(wide[0])
    elif len(gramian) == 2:
        weights = _of_two(wide, alive)
    else:
        # In units of each gradient's own length, x_i = w_i |g_i|, the systems stay well-conditioned
        # however far apart the lengths are: the cosines C replace G, and sum(w) = 1 becomes b.x = 1
        # up to a factor. Zero gradients have b = 0.
        cosines, lengths, _ = unit_gramian(wide)
        b = alive * lengths.amin() / lengths
        # x minimizes x C x + (b.x - 1)^2, up to scale.
        system = cosines + b[:, None] * b
        if len(gramian) <= LARGEST_ENUMERATED:
            x = _over_faces(cosines, system, b)
        else:
            x = active_set(system, b[None])[0]
        weights = b * x
    weights = torch.where(alive.any(), weights / weights.sum(), 1 / len(weights))
    return weights.to(gramian.dtype)


def _of_two(gramian: Tensor, alive: Tensor) -> Tensor:
    (a, c), (_, b) = gramian
    # Each weight by itself: as 1 - the other, the small weight of a long gradient would lose its
    # digits.
    weights = torch.stack([b - c, a - c]).clamp(min=0)
    # Where both gradients are equal every point is the shortest.
    weights = torch.where(weights.sum() == 0, 0.5, weights)
    return torch.where(alive.all(), weights, alive.to(weights.dtype))


def _over_faces(cosines: Tensor, system: Tensor, b: Tensor) -> Tensor:
    """Minimizes ``x C x`` over x >= 0, b.x = 1 by solving every face; x is returned up to scale.

    The minimum is the one point, on whatever face, from which no vertex promises a descent. (The
    shortest of all faces' points would have only half the digits, a length being flat around its
    minimum.)
    """
    x = stationary(system, b, all_faces(len(b), b.device)[1:])
    x = x / (x @ b)[:, None]
    product = x @ cosines
    length, size = (product * x).sum(-1, keepdim=True), x.sum(-1, keepdim=True)
    descent = (b * length - product) / (size * (1 + b * size))  # in units of its rounding error
    inside = ((x >= 0) & x.isfinite()).all(-1)
    return x.index_select(0, torch.where(inside, descent.amax(-1), torch.inf).argmin().view(1))[0]
