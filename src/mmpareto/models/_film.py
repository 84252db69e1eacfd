from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmpareto.models._fusion import Fusion, project, projections
from mmpareto.models._presence import Rows, scatter_present
from mmpareto.models._projected_fusion import ProjectedFusion


class FiLM(Fusion):
    r"""Each modality scaled and shifted as the others say, then summed.

    With projections :math:`p_k = P_k x_k + b_k` and the mean :math:`c_k` of the other modalities'
    projections:

    .. math::
        (\Delta_k, \beta_k) = C_k c_k + d_k, \qquad
        f = \sum_k (1 + \Delta_k) \odot p_k + \beta_k

    A missing modality is left out of means and sum; a modality that has no other beside it is not
    modulated.

    Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018,
    arXiv 1709.07871, who modulate an image by a question and predict the scale as its difference
    from 1. Audio-visual benchmarks let one modality modulate the other; here every modality takes
    both roles, so that none is set apart and there may be any number.

    Args:
        widths: For each modality the width of its features.
        dim: Width of the projections and of their sum.

    Example:
        >>> fusion = FiLM({"audio": 2, "visual": 3}, dim=4)
        >>> fusion({"audio": torch.ones(1, 2), "visual": torch.ones(1, 3)}).shape
        torch.Size([1, 4])
    """

    def __init__(self, widths: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.width = dim
        self.projections = projections(widths, dim)
        conditioned = dict.fromkeys(widths, dim) if len(widths) > 1 else {}
        self.conditioners = projections(conditioned, 2 * dim)

    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        projected = project(self.projections, features, rows)
        has: dict[str, Tensor] = {}
        for modality, feature in features.items():
            has[modality] = _has(feature, (rows or {}).get(modality))
        modulated = [self._modulated(modality, projected, has) for modality in projected]
        return torch.stack(modulated).sum(0)

    def _modulated(
        self, modality: str, projected: Mapping[str, Tensor], has: Mapping[str, Tensor]
    ) -> Tensor:
        others = [name for name in projected if name != modality]
        if not others:
            return projected[modality]
        count = _total(has, others)
        mean = _total(projected, others) / count.clamp(min=1)
        condition: Tensor = self.conditioners[modality](mean)
        scale, shift = condition.chunk(2, dim=1)
        modulated = (1 + scale) * projected[modality] + shift
        return has[modality] * torch.where(count > 0, modulated, projected[modality])


def _total(values: Mapping[str, Tensor], modalities: list[str]) -> Tensor:
    return torch.stack([values[modality] for modality in modalities]).sum(0)


def _has(feature: Tensor, rows: Tensor | None) -> Tensor:
    """For each sample [B, 1] one if it has the modality, else zero."""
    count = (feature if rows is None else rows).shape[0]
    return scatter_present(feature.new_ones(count, 1), rows, feature.shape[0])


class FiLMFusionCNN(ProjectedFusion):
    """Small convolutional encoders whose features modulate each other (FiLM) and are summed.

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.
        dim: Width to which each modality's features are projected.
        depth: Number of linear layers of every head.

    Example:
        >>> model = FiLMFusionCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.fusion.conditioners["gray"]
        Linear(in_features=64, out_features=128, bias=True)
    """

    name = "film-fusion"

    def fusion(self, widths: Mapping[str, int]) -> FiLM:
        return FiLM(widths, self.dim)
