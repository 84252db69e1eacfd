r"""The min-norm point of the convex hull of gradients, from their Gramian.

:math:`\min_w w^\top G w` over the simplex. The point is zero, or it has a positive product with
every gradient in the hull: a direction common to all objectives. Nothing here waits for the device,
and a common factor of the gradients, which scales G, changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmpareto.balancing._nonnegative import active_set
from mmpareto.gradients import nonzero, widened

LARGEST_ENUMERATED = 16


def min_norm_weights(gramian: Tensor) -> Tensor:
    """Weights on the simplex that give the shortest combination of gradients.

    Zero gradients take no part (weight 0): an objective that a batch says nothing about, such as a
    loss that is masked out, does not stop the others. If all are zero, any weights do.

    Args:
        gramian: Positive semi-definite tensor [m, m].

    Returns:
        Tensor [m], non-negative, of sum 1. Exact up to rounding: closed form for m = 2, all faces
        of the simplex at once up to m = 16, an active-set method beyond.

    Example:
        >>> import torch
        >>> min_norm_weights(torch.tensor([[4.0, -1.0], [-1.0, 1.0]]))
        tensor([0.2857, 0.7143])
    """
    dead = gramian.diagonal() == 0
    wide = widened(gramian)
    if len(gramian) == 1:
        weights = torch.ones_like(wide[0])
    elif len(gramian) == 2:
        weights = _of_two(wide, dead)
    else:
        # In units of each gradient's own length, x_i = w_i |g_i|, the systems stay well-conditioned
        # however far apart the lengths are: the cosines C replace G, and sum(w) = 1 becomes b.x = 1
        # up to a factor. Zero gradients have b = 0.
        length = wide.diagonal().sqrt().masked_fill(dead, torch.inf)
        b = length.amin() / length
        cosines = wide / length[:, None] / length
        # C is semi-definite up to rounding only. That rounding, added to the diagonal, keeps the
        # systems regular where gradients are equal or cancel.
        cosines.diagonal().add_(len(b) * torch.finfo(b.dtype).eps)
        if len(gramian) <= LARGEST_ENUMERATED:
            x = _over_faces(cosines, b)
        else:
            x = active_set(cosines + b[:, None] * b, b[None])[0]
            x = x / (x @ b)
        weights = b * x
    return weights.masked_fill(dead.all(), 1 / len(weights)).to(gramian.dtype)


def weights_in_conflict(gramian: Tensor) -> Tensor:
    """Min-norm weights times the number m' of gradients that differ from zero, where two conflict.

    Of two that conflict neither is zero, nor are they equal: few calls do. Where none conflict, the
    weights mean nothing.

    Args:
        gramian: Positive semi-definite tensor [m, m].

    Returns:
        Tensor [m], of sum m'.

    Example:
        >>> import torch
        >>> weights_in_conflict(torch.tensor([[4.0, -1.0], [-1.0, 1.0]]))
        tensor([0.5714, 1.4286])
    """
    if len(gramian) > 2:
        return nonzero(gramian).sum() * min_norm_weights(gramian)
    weights = gramian.diagonal().flip(0) - gramian[0, -1]  # a sum of what is not negative
    return weights / weights.mean()


def _of_two(gramian: Tensor, dead: Tensor) -> Tensor:
    # Each weight by itself: as 1 - the other, the small weight of a long gradient would lose its
    # digits.
    weights = (gramian.diagonal().flip(0) - gramian[0, 1]).clamp(min=0).masked_fill(dead, 0.0)
    # Where both gradients are equal every point is the shortest; where one is zero, the other.
    weights = torch.where(weights.sum() == 0, ~dead, weights)
    return weights / weights.sum()


def _over_faces(cosines: Tensor, b: Tensor) -> Tensor:
    """Minimizes ``x C x`` over x >= 0, b.x = 1 by solving every face.

    The minimum is the one point, on whatever face, from which no vertex promises a descent. (The
    shortest of all faces' points would have only half the digits, a length being flat around its
    minimum.)
    """
    x = _stationary_on_all(cosines, b)
    x = x / (x.T @ b)
    product, size = cosines @ x, x.sum(0)
    ascent = torch.addcmul(product, b[:, None], (product * x).sum(0), value=-1)
    ascent = ascent / torch.addcmul(size, b[:, None], size.square())  # in units of its rounding
    # A negative share rules a face out, however small it is.
    least = torch.minimum(ascent, x * torch.finfo(x.dtype).max).amin(0)
    best = least.nan_to_num(
        -torch.inf
    ).argmax()  # singular faces are not numbers, nor the empty one
    return x.index_select(1, best.view(1))[:, 0]


def _stationary_on_all(cosines: Tensor, b: Tensor) -> Tensor:
    """Stationary points of ``x C x + (b.x - 1)^2`` on all faces, tensor [m, 2^m], up to scale.

    ``y = (C + b b') x - b`` with x_i = 0 off a face and y_i = 0 on it is solved by eliminating one
    vertex after another, in few calls. Each either stays off, or y_i = 0 gives its x_i; the
    outcomes of all choices lie side by side.
    """
    # Entries [column, row, face]: what is constant in y, then the coefficients of each x_i.
    system = torch.cat([b[None], torch.addcmul(cosines, b[:, None], b)])[:, :, None]
    for vertex in reversed(range(len(b))):
        off, column = system[:-1], system[-1]
        ratio = off[:, vertex] / column[vertex]
        column[vertex].add_(1)  # the row of the vertex tells x_i from now on
        on = torch.addcmul(off, column, ratio[:, None], value=-1)
        system = torch.cat([off, on], -1)
    vertices = torch.arange(len(b) - 1, -1, -1, device=b.device)[:, None]
    faces = torch.arange(2 ** len(b), device=b.device) >> vertices
    return system[0] * (faces & 1)
