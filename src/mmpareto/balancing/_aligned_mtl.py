from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mmpareto.balancing._eigen import eigen, inverse_powers
from mmpareto.balancing._facts import gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.errors import MMParetoError
from mmpareto.gradients import whole, widened

Scale = Literal["min", "rmse"]


@dataclass(frozen=True)
class AlignedMTL(GradientIntegration):
    r"""The gradients made orthogonal and equally long, moved as little as possible; their sum.

    With the eigenvalues :math:`\lambda` and eigenvectors V of their Gramian,

    .. math:: \alpha = \sigma \, V \Lambda^{-1/2} V^\top \mathbf{1}, \qquad h = \sum_i \alpha_i g_i

    and :math:`\sigma` the square root of the smallest eigenvalue, or of their mean. Eigenvalues of
    zero are left out. The paper weighs the orthogonal gradients by 1/m; here by 1, so that for
    orthogonal gradients of equal length h is their sum.

    With ``"min"`` the step is no longer than the least that the gradients have between them: where
    two are nearly parallel, or one is short, it shrinks, and it jumps where an eigenvalue drops to
    zero.

    Source: Senushkin, Patakin, Kuznetsov and Konushin, "Independent Component Alignment for
    Multi-Task Learning", CVPR 2023, arXiv 2305.19000.

    Args:
        scale: What sigma is the square root of: the smallest eigenvalue that is not zero (min, as
            in the paper), or the mean of those (rmse).

    Raises:
        MMParetoError: If `scale` is none of these.

    Example:
        >>> import torch
        >>> AlignedMTL().weights(torch.tensor([[[1.0, 0.0], [0.0, 4.0]]]))
        tensor([1.0000, 0.5000])
    """

    name = "aligned-mtl"
    facts = gradient_facts("Senushkin et al., CVPR 2023, arXiv 2305.19000")

    scale: Scale = "min"

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise MMParetoError(
                f"Parameter `scale` should be one of {get_args(Scale)}. Found {self.scale!r}."
            )

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        values, vectors = eigen(widened(gramian))
        inverse = inverse_powers(values, -0.5, gramian.dtype)
        if self.scale == "min":
            sigma = torch.where(inverse.any(), 1 / inverse.amax(), 0.0)
        else:
            kept = inverse > 0
            sigma = ((values * kept).sum() / kept.sum().clamp(min=1)).sqrt()
        weights: Tensor = sigma * (vectors @ (inverse * vectors.sum(0)))
        return weights.to(gramian.dtype)
