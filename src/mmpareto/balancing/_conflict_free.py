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
class ConFIG(GradientIntegration):
    r"""The direction at one angle to all gradients, as long as their projections on it together.

    .. math:: u = C^{+} \mathbf{1}, \quad d = \sum_i u_i \frac{g_i}{|g_i|}, \qquad
              h = \Bigl(\sum_i g_i \cdot \frac{d}{|d|}\Bigr) \frac{d}{|d|}

    with C the cosines between the gradients. Where they are independent it goes against none.
    Where they cancel, d = 0, no such direction exists, and the step is zero.

    Source: Liu, Chu and Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
    Networks", ICLR 2025, arXiv 2408.11104.

    Example:
        >>> import torch
        >>> ConFIG().weights(torch.tensor([[[1.0, -0.5], [-0.5, 2.0]]]))
        tensor([1.2071, 0.8536])
    """

    name = "conflict-free"  # a method called config would be one option beside another
    facts = gradient_facts("Liu, Chu and Thuerey, ICLR 2025, arXiv 2408.11104")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        cosines, lengths, alive = unit_gramian(gramian)
        u = pseudo_solution(cosines, alive.to(cosines.dtype), gramian.dtype)
        products = cosines @ u
        square = products @ u
        noise = 16 * len(u) * torch.finfo(gramian.dtype).eps
        scale = torch.where(square <= noise, 0.0, (lengths * alive) @ products / square)
        return (scale * u / lengths).to(gramian.dtype)
