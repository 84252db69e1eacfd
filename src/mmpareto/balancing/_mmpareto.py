from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mmpareto.balancing._checks import check_gamma
from mmpareto.balancing._facts import FACTOR, gradient_facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.balancing._min_norm import weights_in_conflict
from mmpareto.balancing._role import Role
from mmpareto.errors import MMParetoError
from mmpareto.gradients import conflict, whole

Granularity = Literal["encoder", "tensor"]


@dataclass(frozen=True)
class MMPareto(GradientIntegration):
    r"""In conflict the direction common to all sides, else their sum; at no less than its length.

    With the gradients :math:`g_1, \dots, g_m` of the sides on an encoder (its own objective, and
    the sum of the others that reach it, see `mmpareto.Geometry`) and :math:`a` the min-norm weights
    where any two conflict (:math:`g_i \cdot g_j \le 0`), else :math:`a_i = 1/m`:

    .. math:: h = m \sum_i a_i g_i, \qquad
              h \leftarrow \gamma \, \max\left(1, \frac{|\sum_i g_i|}{|h|}\right) h

    Where the gradients cancel, :math:`h = 0`, no direction is common to all: the encoder's step is
    zero. It is nearly zero, not stretched, also where |h| is too short for its length to be told
    from the gradients' products: in float32 below about a thousandth of their length, in float64
    below 1e-7 of it.

    The stretch has no upper limit: where one gradient is much shorter than another that conflicts
    with it, as that of a task which is nearly solved, the min-norm direction is nearly its own, at
    the length of the sum.

    Source: Wei and Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance",
    ICML 2024, arXiv 2405.17730.

    Args:
        gamma: Factor of the step, positive and finite; 1.5 in the paper. Under Adam and other
            optimizers that normalize the gradient it does nothing.
        granularity: Over what the lengths are taken. ``"encoder"`` as in the paper, which keeps the
            direction common to all objectives; ``"tensor"``, each parameter tensor by itself, as in
            the authors' code, which can lose it.

    Raises:
        MMParetoError: If `gamma` or `granularity` is none of these.

    Example:
        >>> import torch
        >>> equally_long = torch.tensor([[[1.0, -0.5], [-0.5, 1.0]]])
        >>> MMPareto(gamma=1.0).weights(equally_long)  # the sum
        tensor([1., 1.])
    """

    name = "mmpareto"
    facts = gradient_facts("Wei and Hu, ICML 2024, arXiv 2405.17730", {"gamma": FACTOR})
    role = Role("subject", 4, "#D55E00", "*")

    gamma: float = 1.5
    granularity: Granularity = "encoder"

    def __post_init__(self) -> None:
        check_gamma(self.gamma)
        if self.granularity not in get_args(Granularity):
            raise MMParetoError(
                f"Parameter `granularity` should be one of {get_args(Granularity)}. "
                f"Found {self.granularity!r}."
            )

    @property
    def per_tensor(self) -> bool:
        """Whether the stretch is that of each parameter tensor by itself."""
        return self.granularity == "tensor"

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = whole(gramians)
        a = torch.where(conflict(gramian), weights_in_conflict(gramian), 1.0)
        measured = gramian if self.granularity == "encoder" else gramians
        return self.gamma * _stretch(measured, a)[..., None] * a


def _stretch(gramian: Tensor, a: Tensor) -> Tensor:
    """Factor max(1, |sum g| / |h|) of h = sum a_i g_i, 1 where h cancels to rounding.

    Args:
        gramian: Tensor [..., m, m].
        a: Tensor [m].
    """
    total = gramian.sum((-2, -1))
    products = gramian @ a
    length = products @ a
    # |h|^2 is a difference of terms as large as |a_i g_i|^2. Where it is below their rounding error
    # the ratio is noise, infinite or NaN (as in the authors' code), and would make a step of any
    # length.
    rounding = 16 * torch.finfo(gramian.dtype).eps
    lengths = gramian.diagonal(dim1=-2, dim2=-1)
    cancels = torch.addcmul(products, lengths, a, value=-rounding) @ a <= 0
    return (total / length).masked_fill(cancels, 1.0).clamp(min=1).sqrt()
