from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._nonnegative import nonnegative_minimum
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import whole


@dataclass(frozen=True)
class DualProj(GradientIntegration):
    r"""The sum of the gradients, or what is closest to it without going against any.

    .. math:: h = \operatorname{argmin}_{d} \Bigl|d - \sum_i g_i\Bigr|
              \quad \text{such that } d \cdot g_j \ge 0 \text{ for all } j

    Where no gradient is against the sum, it is the sum, conflict or not: for two gradients unless
    their product is below minus the shorter one's square.

    Source: Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017,
    arXiv 1706.08840, with the sum in place of the newest task's gradient.

    Example:
        >>> import torch
        >>> DualProj().weights(torch.tensor([[[1.0, -2.0], [-2.0, 8.0]]])).round(decimals=4)
        tensor([2., 1.])
    """

    name = "dualproj"
    facts = gradient_facts("Lopez-Paz and Ranzato, NeurIPS 2017, arXiv 1706.08840")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, alive = unit_gramian(gramian)
        x = nonnegative_minimum(cosines, -(cosines @ (lengths * alive))[None])[0]
        return (1 + x / lengths).to(gramian.dtype)
