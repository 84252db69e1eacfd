from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._nonnegative import nonnegative_minimum
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import whole


@dataclass(frozen=True)
class UPGrad(GradientIntegration):
    r"""Each gradient as close to itself as it can be without going against any other; their sum.

    .. math:: h = \sum_i \operatorname{argmin}_{d} |d - g_i|
              \quad \text{such that } d \cdot g_j \ge 0 \text{ for all } j

    For two gradients it is PCGrad, and for orthogonal or agreeing ones the sum. The paper takes the
    mean of the projections; here it is their sum, so that it has the length of `Uniform`.

    Source: Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, arXiv
    2406.16232.

    Example:
        >>> import torch
        >>> UPGrad().weights(torch.tensor([[[1.0, -0.5], [-0.5, 2.0]]]))
        tensor([1.5000, 1.2500])
    """

    name = "upgrad"
    facts = gradient_facts("Quinton and Rey, 2024, arXiv 2406.16232")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, _ = unit_gramian(gramian)
        # The projection of g_i is g_i plus the least combination x >= 0 that undoes what it does
        # to the others.
        x = nonnegative_minimum(cosines, -cosines)
        return (1 + lengths @ x / lengths).to(gramian.dtype)
