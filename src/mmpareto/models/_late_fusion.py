from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models._output import Output
from mmpareto.models._recipe import ModelRecipe, MultimodalModel
from mmpareto.models._small_cnn import small_cnn


class LateFusion(MultimodalModel):
    """Encoders, a joint head on their concatenated features, and a head on each modality's features.

    Args:
        encoders: For each modality a module from inputs [B, ...] to features [B, width].
        widths: For each modality the width of its features.
        classes: Number of classes.

    Example:
        >>> import torch
        >>> model = LateFusion({"audio": nn.Linear(4, 8), "visual": nn.Linear(3, 8)}, {"audio": 8, "visual": 8}, 5)
        >>> output = model({"audio": torch.randn(2, 4), "visual": torch.randn(2, 3)})
        >>> output.joint.shape, output.unimodal["audio"].shape
        (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    def __init__(self, encoders: Mapping[str, nn.Module], widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.joint = nn.Linear(sum(widths[modality] for modality in encoders), classes)
        self.unimodal = nn.ModuleDict({modality: nn.Linear(widths[modality], classes) for modality in encoders})

    def forward(self, inputs: Mapping[str, Tensor]) -> Output:
        features = {modality: encoder(inputs[modality]) for modality, encoder in self.encoders.items()}
        unimodal = {modality: self.unimodal[modality](feature) for modality, feature in features.items()}
        return Output(self.joint(torch.cat(list(features.values()), dim=1)), unimodal, features)


@dataclass(frozen=True)
class LateFusionCNN(ModelRecipe):
    """Late fusion of small convolutional encoders, for small images.

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.

    Example:
        >>> model = LateFusionCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.joint
        Linear(in_features=1024, out_features=10, bias=True)
    """

    name = "late-fusion"

    width: int = 16

    def __post_init__(self) -> None:
        if self.width < 1:
            raise MMParetoError(f"Parameter `width` should be positive. Found {self.width!r}.")

    def build(self, shapes: Mapping[str, tuple[int, ...]], classes: int) -> LateFusion:
        encoders, widths = {}, {}
        for modality, shape in shapes.items():
            if len(shape) != 3:
                raise MMParetoError(f"Modality '{modality}' should be images [channels, height, width]. Found {shape}.")
            channels, height, width = shape
            encoders[modality] = small_cnn(channels, self.width)
            widths[modality] = 2 * self.width * math.ceil(height / 2) * math.ceil(width / 2)
        return LateFusion(encoders, widths, classes)
