from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.balancing._facts import Range, gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._nonnegative import nonnegative_minimum, stationary
from mmpareto.balancing._unit_gramian import UnitGramian, unit_gramian
from mmpareto.errors import MMParetoError
from mmpareto.gradients import whole


@dataclass(frozen=True)
class CAGrad(GradientIntegration):
    r"""Of all directions near the sum, the one that most improves the loss that it improves least.

    .. math:: h = \operatorname{argmax}_d \min_i g_i \cdot d
              \quad \text{such that } |d - g_0| \le c \, |g_0|, \qquad g_0 = \sum_i g_i

    With c = 0 it is the sum. The paper takes the mean as g_0; here it is the sum, so that h has the
    length of `Uniform`. The loss that is improved least is often the one with the shortest
    gradient, conflict or not, and the step is longer than the sum then: by c where a gradient is
    alone.

    Source: Liu, Liu, Jin, Stone and Liu, "Conflict-Averse Gradient Descent for Multi-task
    Learning", NeurIPS 2021, arXiv 2110.14048.

    Args:
        c: How far from the sum h may be, in units of its length; at least 0 and below 1.

    Raises:
        MMParetoError: If `c` is outside of this.

    Example:
        >>> import torch
        >>> CAGrad(c=0.5).weights(torch.tensor([[[1.0, -0.5], [-0.5, 2.0]]]))
        tensor([1.7225, 1.0335])
    """

    name = "cagrad"
    facts = gradient_facts("Liu et al., NeurIPS 2021, arXiv 2110.14048", {"c": Range(0.1, 0.9)})

    c: float = 0.5

    def __post_init__(self) -> None:
        number = isinstance(self.c, int | float) and not isinstance(self.c, bool)
        if not (number and 0 <= self.c < 1):
            raise MMParetoError(
                f"Parameter `c` should be at least 0 and below 1. Found {self.c!r}."
            )

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        unit = unit_gramian(gramian)
        return (1 + _correction(unit, self.c) / unit.lengths).to(gramian.dtype)


def _correction(unit: UnitGramian, c: float) -> Tensor:
    """What the best direction adds to the sum, as a combination x of unit gradients.

    It is of length r = c |g_0|, of weights that are not negative, and makes the products of h with
    the gradients that it consists of equal, to some number t, and those of others no smaller. For
    each t the shortest such combination is known, and its length is a convex function of t: t is
    found from above, on one face after another.
    """
    cosines, lengths, alive = unit
    total = lengths * alive
    products = cosines @ total
    square = c**2 * (products @ total).clamp(min=0)
    t = torch.where(alive, lengths * (products + square.sqrt()), torch.inf).amin()
    for _ in range(len(lengths)):
        face = _shortest(unit, products, t) > 0
        # The square of its length on this face: a quadratic function of t, least at `middle`.
        lift = stationary(cosines, 1 / lengths, face)
        curvature = (lift / lengths).sum()
        middle = lift @ products / curvature
        rest = products - middle / lengths
        least = stationary(cosines, rest, face) @ rest
        above = ((square - least).clamp(min=0) / curvature).sqrt()
        t = torch.where(face.any(), middle + above, t)
    return _shortest(unit, products, t)


def _shortest(unit: UnitGramian, products: Tensor, t: Tensor) -> Tensor:
    """The shortest x that lifts the products of all gradients to t at least."""
    linear = torch.where(unit.alive, t / unit.lengths - products, -1.0)
    return nonnegative_minimum(unit.cosines, linear[None])[0]
