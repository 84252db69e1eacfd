"""Gradients in units of their own lengths, in which systems of equations stay well-conditioned."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmpareto.gradients import nonzero, widened


class UnitGramian(NamedTuple):
    r"""The Gramian taken apart, :math:`G_{ij} = C_{ij} |g_i| |g_j|`.

    A combination :math:`\sum_i x_i g_i / |g_i|` of unit gradients has the weights :math:`x_i /
    |g_i|`.

    Args:
        cosines: Tensor [m, m], C, in float64 where the device has it. A zero gradient is at right
            angles to all others. The diagonal is 1 and the rounding error of G: systems stay
            regular where gradients are equal or cancel.
        lengths: Tensor [m], in units of the longest; 1 for zero gradients.
        alive: Boolean tensor [m]: which gradients differ from zero.
    """

    cosines: Tensor
    lengths: Tensor
    alive: Tensor


def unit_gramian(gramian: Tensor) -> UnitGramian:
    """Takes lengths and angles apart; a common factor of the gradients is lost in it.

    Args:
        gramian: Positive semi-definite tensor [m, m].

    Example:
        >>> import torch
        >>> cosines, lengths, _ = unit_gramian(torch.tensor([[4.0, -1.0], [-1.0, 1.0]]))
        >>> float(cosines[0, 1]), lengths.tolist()
        (-0.5, [1.0, 0.5])
    """
    alive = nonzero(gramian)
    wide = widened(gramian)
    lengths = torch.where(alive, wide.diagonal().sqrt(), torch.inf)
    cosines = (wide / lengths[:, None] / lengths).masked_fill(~(alive[:, None] & alive), 0.0)
    cosines.diagonal().fill_(1 + len(cosines) * torch.finfo(gramian.dtype).eps)
    relative = lengths / torch.where(alive, lengths, 0.0).amax()
    return UnitGramian(cosines, torch.where(alive, relative, 1.0), alive)
