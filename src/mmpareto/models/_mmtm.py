from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models._checks import (
    check_counts,
    check_images,
    check_modalities,
    check_whole,
    present,
)
from mmpareto.models._each import apply_each
from mmpareto.models._exchange import Exchange
from mmpareto.models._fusion import Concatenation
from mmpareto.models._head import head, heads
from mmpareto.models._output import Output
from mmpareto.models._recipe import ModelRecipe, MultimodalModel
from mmpareto.models._small_cnn import feature_width, stages
from mmpareto.specs import Shape


class MMTM(MultimodalModel):
    """Encoders that exchange channel weights between their stages, and heads on what they give.

    The joint head reads the concatenated features. Through the exchanges every loss reaches every
    encoder. What the exchanges hold serves all modalities: it is in no encoder and receives the
    plain sum of gradients.

    Args:
        encoders: For each modality its stages, as many for each: modules from maps to maps [B,
            channels, ...].
        exchanges: What is between the stages, one less than there are stages.
        widths: For each modality the width of its flattened last maps.
        classes: Number of classes.
        depth: Number of linear layers of every head.

    Raises:
        MMParetoError: If the numbers of stages and exchanges do not fit.

    Example:
        >>> model = MMTMCNN().build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> model.exchanges[0].squeeze
        Linear(in_features=32, out_features=8, bias=True)
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Sequential],
        exchanges: Sequence[Exchange],
        widths: Mapping[str, int],
        classes: int,
        depth: int = 1,
    ) -> None:
        super().__init__()
        check_modalities(encoders)
        check_counts(depth=depth)
        for modality, encoder in encoders.items():
            if len(encoder) != len(exchanges) + 1:
                raise MMParetoError(
                    f"Encoder '{modality}' should have a stage before each exchange and one after "
                    f"the last, {len(exchanges) + 1} in all. Found {len(encoder)}."
                )
        self.encoders = nn.ModuleDict(encoders)
        self.exchanges = nn.ModuleList(exchanges)
        flattened = {modality: widths[modality] for modality in encoders}
        self.fusion = Concatenation(flattened)
        self.joint = head(self.fusion.width, classes, depth)
        self.unimodal = heads(flattened, classes, depth)

    def forward(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Output:
        check_whole(rows)
        maps = present(inputs, self.encoders)
        for number, exchange in enumerate(self.exchanges):
            maps = exchange(self._stage(number, maps))
        last = self._stage(len(self.exchanges), maps)
        features = {modality: x.flatten(1) for modality, x in last.items()}
        unimodal = apply_each(self.unimodal, features)
        return Output(self.joint(self.fusion(features)), unimodal, features)

    def _stage(self, number: int, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The maps after stage `number` of each modality's encoder."""
        after: dict[str, Tensor] = {}
        for modality, x in maps.items():
            encoder = cast("nn.Sequential", self.encoders[modality])
            after[modality] = encoder[number](x)
        return after


@dataclass(frozen=True)
class MMTMCNN(ModelRecipe):
    """Small convolutional encoders that weigh each other's channels between their stages (MMTM).

    Args:
        width: Channels of the encoders' first convolution; the others have twice as many.
        reduction: By how much an exchange narrows all modalities' channels.
        depth: Number of linear layers of every head.

    Example:
        >>> model = MMTMCNN(reduction=8).build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, classes=10)
        >>> [exchange.squeeze.out_features for exchange in model.exchanges]
        [4, 8]
    """

    name = "mmtm"
    dense = True

    width: int = 16
    reduction: int = 4
    depth: int = 1

    def __post_init__(self) -> None:
        check_counts(width=self.width, reduction=self.reduction, depth=self.depth)

    def build(self, shapes: Mapping[str, Shape], classes: int) -> MMTM:
        images = check_images(shapes)
        encoders: dict[str, nn.Sequential] = {}
        widths: dict[str, int] = {}
        for modality, shape in images.items():
            encoders[modality] = nn.Sequential(*stages(shape[0], self.width))
            widths[modality] = feature_width(shape, self.width)
        exchanges = [
            Exchange(dict.fromkeys(shapes, count), self.reduction)
            for count in (self.width, 2 * self.width)
        ]
        return MMTM(encoders, exchanges, widths, classes, self.depth)
