from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import whole


@dataclass(frozen=True)
class NashMTL(GradientIntegration):
    r"""The gradients' bargain: each weight is the inverse of its gradient's product with the step.

    .. math:: h = \sum_i \alpha_i g_i, \qquad g_i \cdot h = 1 / \alpha_i, \quad \alpha_i > 0

    Short gradients get large weights, long ones small weights: for two, in inverse ratio of their
    lengths, as with IMTL-G. In the paper h is always of length :math:`\sqrt{m}`, however small the
    gradients have become; here, as methods of this library scale with the gradients, the weights
    add up to m. The authors' code keeps a solution for some steps; here each step has its own.

    Source: Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik and Fetaya, "Multi-Task Learning as
    a Bargaining Game", ICML 2022, arXiv 2202.01017.

    Example:
        >>> import torch
        >>> NashMTL().weights(torch.tensor([[[1.0, 0.0], [0.0, 9.0]]]))
        tensor([1.5000, 0.5000])
    """

    name = "nash-mtl"
    facts = gradient_facts("Navon et al., ICML 2022, arXiv 2202.01017")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, alive = unit_gramian(gramian)
        alpha = alive * _bargain(cosines) / lengths
        return torch.where(alive.any(), alive.sum() * alpha / alpha.sum(), 1.0).to(gramian.dtype)


def _bargain(cosines: Tensor) -> Tensor:
    """Solves ``C y = 1 / y``, y > 0: the minimum of the convex ``y C y / 2 - sum(log(y))``.

    By Newton's method, with the steps that suffice for self-concordant functions (Nesterov and
    Nemirovskii, 1994), and the best length of y before each. Of two gradients y is equal, and its
    length does not matter. Where gradients cancel, y would be infinite; a long one is returned.
    """
    m = len(cosines)
    y = torch.ones_like(cosines[0])
    eye = torch.eye(m, dtype=y.dtype, device=y.device)
    for _ in range(4 * m if m > 2 else 0):
        y = y * (m / (y @ cosines @ y)).sqrt()
        hessian = y[:, None] * cosines * y  # in units of y
        slope = 1 - hessian.sum(1)
        move = torch.linalg.solve_ex(hessian + eye, slope)[0]
        decrement = (slope @ move).clamp(min=0).sqrt()
        y = y * (1 + torch.where(decrement > 0.25, move / (1 + decrement), move))
    return y
