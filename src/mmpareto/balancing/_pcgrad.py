from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._unit_gramian import unit_gramian
from mmpareto.gradients import whole

_LARGEST_AVERAGED = 6


@dataclass(frozen=True)
class PCGrad(GradientIntegration):
    r"""Each gradient loses its parts against the others, one after another; the results are added.

    .. math:: g_i \leftarrow g_i - \frac{\min(0, g_i \cdot g_j)}{|g_j|^2} g_j
              \quad \text{for each } j \ne i \text{ in turn}, \qquad h = \sum_i g_i

    where the :math:`g_j` that are projected on stay as they were. From three gradients on, the
    order of the turns matters. The paper draws one; here h is the mean over all orders, what the
    paper's step is on average, equal on all processes. For more than six gradients, whose orders
    are too many, each meets the others in one order, the one in sharpest conflict first.

    Source: Yu, Kumar, Gupta, Levine, Hausman and Finn, "Gradient Surgery for Multi-Task Learning",
    NeurIPS 2020, arXiv 2001.06782.

    Example:
        >>> import torch
        >>> PCGrad().weights(torch.tensor([[[1.0, -0.5], [-0.5, 2.0]]]))
        tensor([1.5000, 1.2500])
    """

    name = "pcgrad"
    facts = gradient_facts("Yu et al., NeurIPS 2020, arXiv 2001.06782")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, _ = unit_gramian(gramian)
        m = len(cosines)
        eye = torch.eye(m, dtype=cosines.dtype, device=cosines.device)
        turns = _turns(cosines) if m > 1 else ()
        # x [m, orders, m] of each unit gradient, in every order, as a combination of all.
        x = eye[:, None]
        for others in turns:
            products = (x * cosines[others]).sum(-1, keepdim=True)
            x = x - products.clamp(max=0) * eye[others]
        return (lengths @ x.mean(1) / lengths).to(gramian.dtype)


def _turns(cosines: Tensor) -> tuple[Tensor, ...]:
    """For each turn the numbers [m, orders] of those that the gradients meet in it."""
    m = len(cosines)
    if m > _LARGEST_AVERAGED:
        apart = cosines + 2 * torch.eye(m, dtype=cosines.dtype, device=cosines.device)
        return apart.argsort(-1)[:, None, :-1].unbind(-1)
    orders = torch.zeros(1, 0, dtype=torch.long, device=cosines.device)
    for place in range(1, m):
        inserted = orders.new_full((len(orders), 1), place)
        orders = torch.cat(
            [torch.cat([orders[:, :cut], inserted, orders[:, cut:]], 1) for cut in range(place)]
        )
    first = torch.arange(m, device=cosines.device)[:, None, None]
    return ((first + orders) % m).unbind(-1)
