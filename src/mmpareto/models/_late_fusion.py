from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models._checks import check_counts, check_modalities, present
from mmpareto.models._encoders import ENCODERS, make_encoders
from mmpareto.models._fusion import Concatenation, Fusion
from mmpareto.models._head import head, heads
from mmpareto.models._output import Output
from mmpareto.models._presence import scatter_present, select_present
from mmpareto.models._recipe import ModelRecipe, MultimodalModel
from mmpareto.specs import Shape


class LateFusion(MultimodalModel):
    """Encoders, a joint head on their fused features, and a head on each modality's features.

    A unimodal loss reaches the encoder of its own modality alone.

    Args:
        encoders: For each modality a module from inputs [B, ...] to features [B, width].
        widths: For each modality the width of its features.
        classes: Number of classes.
        fusion: Makes one vector of the features; None for their concatenation.
        depth: Number of linear layers of every head.

    Raises:
        MMParetoError: If there is no modality, one has a name that modules cannot have, or `depth`
            is not positive.

    Example:
        >>> import torch
        >>> encoders = {"audio": nn.Linear(4, 8), "visual": nn.Linear(3, 8)}
        >>> model = LateFusion(encoders, {"audio": 8, "visual": 8}, classes=5)
        >>> output = model({"audio": torch.randn(2, 4), "visual": torch.randn(2, 3)})
        >>> output.joint.shape, output.unimodal["audio"].shape
        (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        widths: Mapping[str, int],
        classes: int,
        fusion: Fusion | None = None,
        depth: int = 1,
    ) -> None:
        super().__init__()
        check_modalities(encoders)
        check_counts(depth=depth)
        self.encoders = nn.ModuleDict(encoders)
        encoded = {modality: widths[modality] for modality in encoders}
        self.widths = encoded
        self.fusion = fusion or Concatenation(encoded)
        self.joint = head(self.fusion.width, classes, depth)
        self.unimodal = heads(encoded, classes, depth)

    def encode(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """See `MultimodalModel`."""
        rows = rows or {}
        features: dict[str, Tensor] = {}
        for modality, values in present(inputs, self.encoders).items():
            # Encoders see the samples that have the modality alone: what stands in for the others
            # would enter the statistics of batch norm.
            feature = self.encoders[modality](select_present(values, rows.get(modality)))
            features[modality] = scatter_present(feature, rows.get(modality), values.shape[0])
        return features

    def fuse(
        self, features: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """See `MultimodalModel`."""
        if features:
            fused = self.fusion(features, rows)
        else:
            fused = next(self.joint.parameters()).new_zeros(1, self.fusion.width)
        prediction: Tensor = self.joint(fused)
        return prediction

    def forward(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Output:
        features = self.encode(inputs, rows)
        unimodal: dict[str, Tensor] = {}
        for modality, feature in features.items():
            own = select_present(feature, (rows or {}).get(modality))
            unimodal[modality] = self.unimodal[modality](own)
        return Output(self.fuse(features, rows), unimodal, features)


@dataclass(frozen=True)
class LateFusionCNN(ModelRecipe):
    """An encoder of its own kind for each type of modality; their features are concatenated.

    Images, spectrograms and the frames of videos go through small convolutional networks or
    ResNet-18, sequences through convolutions along them, arrays and tables through two linear
    layers, texts through a small transformer.

    Args:
        width: Channels of the small encoders' first convolution; hidden layers are eight times as
            wide.
        depth: Number of linear layers of every head.
        encoder: What encodes images, spectrograms and videos: small convolutional networks, or
            ResNet-18 from scratch.

    Example:
        >>> model = LateFusionCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.joint
        Linear(in_features=1024, out_features=10, bias=True)
    """

    name = "late-fusion"

    width: int = 16
    depth: int = 1
    encoder: Literal["small", "resnet18"] = "small"

    def __post_init__(self) -> None:
        check_counts(width=self.width, depth=self.depth)
        if self.encoder not in ENCODERS:
            raise MMParetoError(
                f"Parameter `encoder` should be {' or '.join(ENCODERS)}. Found {self.encoder!r}."
            )

    def build(self, shapes: Mapping[str, Shape], classes: int) -> LateFusion:
        encoders, widths = make_encoders(shapes, self.width, self.encoder)
        return LateFusion(encoders, widths, classes, depth=self.depth)
