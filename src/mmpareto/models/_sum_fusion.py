from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmpareto.models._checks import check_counts
from mmpareto.models._fusion import Sum
from mmpareto.models._late_fusion import LateFusion
from mmpareto.models._recipe import ModelRecipe
from mmpareto.models._small_cnn import small_cnns


@dataclass(frozen=True)
class SumFusionCNN(ModelRecipe):
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

    width: int = 16
    dim: int = 64
    depth: int = 1

    def __post_init__(self) -> None:
        check_counts(width=self.width, dim=self.dim, depth=self.depth)

    def build(self, shapes: Mapping[str, tuple[int, ...]], classes: int) -> LateFusion:
        encoders, widths = small_cnns(shapes, self.width)
        return LateFusion(encoders, widths, classes, Sum(widths, self.dim), self.depth)
