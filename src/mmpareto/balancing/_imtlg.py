from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.balancing._eigen import pseudo_solution
from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import whole


@dataclass(frozen=True)
class IMTLG(GradientIntegration):
    r"""The combination whose projections on all gradients' directions are equally long.

    .. math:: h \cdot \frac{g_i}{|g_i|} = h \cdot \frac{g_j}{|g_j|} \text{ for all } i, j,
              \qquad h = m \sum_i \alpha_i g_i, \quad \sum_i \alpha_i = 1

    Short gradients get large weights, long ones small weights: for two, in inverse ratio of their
    lengths. A weight can be negative from three gradients on, and where the weights cancel the
    step is zero. The paper's weights add up to 1; here to m, so that equal weights give the plain
    sum.

    Source: Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, "Towards Impartial Multi-Task
    Learning", ICLR 2021.

    Example:
        >>> import torch
        >>> IMTLG().weights(torch.tensor([[[1.0, 0.0], [0.0, 9.0]]]))
        tensor([1.5000, 0.5000])
    """

    name = "imtl-g"
    facts = gradient_facts("Liu et al., ICLR 2021")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, alive = unit_gramian(gramian)
        # A combination of unit gradients with equal products with each of them.
        x = pseudo_solution(cosines, alive.to(cosines.dtype), gramian.dtype)
        alpha = x / lengths
        total = alpha.sum()
        noise = 16 * len(x) * torch.finfo(gramian.dtype).eps * (alive / lengths).sum()
        weights = torch.where(total.abs() <= noise, 0.0, alive.sum() * alpha / total)
        return weights.to(gramian.dtype)
