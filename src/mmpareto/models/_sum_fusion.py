from __future__ import annotations

from collections.abc import Mapping

from mmpareto.models._fusion import Sum
from mmpareto.models._projected_fusion import ProjectedFusion


class SumFusionCNN(ProjectedFusion):
    """Small convolutional encoders whose features are projected to one width and summed.

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.
        dim: Width to which each modality's features are projected.
        depth: Number of linear layers of every head.

    Example:
        >>> model = SumFusionCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.joint
        Linear(in_features=64, out_features=10, bias=True)
    """

    name = "sum-fusion"

    def fusion(self, widths: Mapping[str, int]) -> Sum:
        return Sum(widths, self.dim)
