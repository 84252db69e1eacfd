from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._min_norm import min_norm_weights
from mmpareto.balancing._role import Role
from mmpareto.gradients import nonzero, whole


@dataclass(frozen=True)
class MGDA(GradientIntegration):
    """Conventional Pareto integration: in every step the min-norm direction, whatever its length.

    As in the paper the weights add up to the number of objectives, so that equal weights give the
    plain sum. The joint loss has the smaller gradient, so the min-norm point favours it and the
    step shrinks: the reason why MMPareto exists.

    Source: Desideri (2012); Sener and Koltun, NeurIPS 2018, arXiv 1810.04650.

    Example:
        >>> import torch
        >>> MGDA().weights(torch.tensor([[[1.0, 0.0], [0.0, 3.0]]]))
        tensor([1.5000, 0.5000])
    """

    name = "mgda"
    facts = gradient_facts("Sener and Koltun, NeurIPS 2018, arXiv 1810.04650")
    role = Role("competitor", 3, "#CC79A7", "v")

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        return nonzero(gramian).sum() * min_norm_weights(gramian)
