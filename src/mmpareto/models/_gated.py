from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmpareto.models._fusion import Concatenation, Fusion, project, projections
from mmpareto.models._presence import Rows
from mmpareto.models._projected_fusion import ProjectedFusion


class Gated(Fusion):
    r"""A sum in which a gate, which reads all modalities, weighs each modality's every component.

    With projections :math:`p_k = P_k x_k + b_k`:

    .. math:: z_k = \sigma(W_k [p_1; \dots; p_K] + c_k), \qquad f = \sum_k z_k \odot \tanh(p_k)

    A missing modality is zero in what the gates read, and left out of the sum.

    Source: Arevalo et al., "Gated Multimodal Units for Information Fusion", ICLR workshop 2017,
    arXiv 1702.01992, in the form for any number of modalities. Here the gates read the projections
    in place of the features, which may be thousands wide; a gate of this kind is one on the
    features whose weights pass through `dim`.

    Args:
        widths: For each modality the width of its features.
        dim: Width of the projections and of their sum.

    Example:
        >>> fusion = Gated({"audio": 2, "visual": 3}, dim=4)
        >>> fusion({"audio": torch.ones(1, 2), "visual": torch.ones(1, 3)}).shape
        torch.Size([1, 4])
    """

    def __init__(self, widths: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.width = dim
        self.projections = projections(widths, dim)
        self.concatenation = Concatenation(dict.fromkeys(widths, dim))
        self.gates = projections(dict.fromkeys(widths, self.concatenation.width), dim)

    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        projected = project(self.projections, features, rows)
        read = self.concatenation(projected)
        gated = [self.gates[m](read).sigmoid() * p.tanh() for m, p in projected.items()]
        return torch.stack(gated).sum(0)


class GatedFusionCNN(ProjectedFusion):
    """Small convolutional encoders whose features are summed, each through a gate.

    The gates read all modalities.

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.
        dim: Width to which each modality's features are projected.
        depth: Number of linear layers of every head.

    Example:
        >>> model = GatedFusionCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.fusion.gates["gray"]
        Linear(in_features=128, out_features=64, bias=True)
    """

    name = "gated-fusion"

    def fusion(self, widths: Mapping[str, int]) -> Gated:
        return Gated(widths, self.dim)
