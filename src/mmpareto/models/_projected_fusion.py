"""What models have in common that project features to one width before they fuse them."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from mmpareto.models._checks import check_counts
from mmpareto.models._encoders import make_encoders
from mmpareto.models._fusion import Fusion
from mmpareto.models._late_fusion import LateFusion
from mmpareto.models._recipe import ModelRecipe
from mmpareto.specs import Shape


@dataclass(frozen=True)
class ProjectedFusion(ModelRecipe):
    """Small encoders whose features are projected to one width and fused.

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.
        dim: Width to which each modality's features are projected.
        depth: Number of linear layers of every head.
    """

    width: int = 16
    dim: int = 64
    depth: int = 1

    def __post_init__(self) -> None:
        check_counts(width=self.width, dim=self.dim, depth=self.depth)

    @abstractmethod
    def fusion(self, widths: Mapping[str, int]) -> Fusion:
        """Makes one vector of features that have these widths."""

    def build(self, shapes: Mapping[str, Shape], classes: int) -> LateFusion:
        """See `ModelRecipe`."""
        encoders, widths = make_encoders(shapes, self.width)
        return LateFusion(encoders, widths, classes, self.fusion(widths), self.depth)
