from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
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
from mmpareto.models._head import head, heads
from mmpareto.models._output import Output
from mmpareto.models._recipe import ModelRecipe, MultimodalModel
from mmpareto.models._tokens import TokenEncoder, learned
from mmpareto.specs import Shape


class BottleneckFusion(MultimodalModel):
    r"""Transformers, one per modality, that share a few tokens in their last layers.

    In a fusion layer modality k's tokens :math:`t_k` attend to themselves and to the shared tokens,
    which then become the mean of what the modalities present made of them:

    .. math::
        [t_k; u_k] \leftarrow \mathrm{layer}_k([t_k; u]), \qquad
        u \leftarrow \tfrac{1}{K} \sum_k u_k

    A modality's features are its first token, normalized, after the last layer; its own head reads
    them. The joint head reads each modality's features too, and its logits are averaged over the
    modalities present. Through the shared tokens every loss reaches every encoder; they are in no
    encoder and receive the plain sum of gradients.

    Source: Nagrani et al., "Attention Bottlenecks for Multimodal Fusion", NeurIPS 2021, arXiv
    2107.00135 (the averaging of tokens and of logits as in the authors' code).

    Args:
        encoders: For each modality its encoder, all with the same number of layers.
        dim: Width of the tokens.
        classes: Number of classes.
        tokens: Number of shared tokens.
        fusion_layers: In how many layers, the last ones, they are shared. The first of them passes
            nothing on from one modality to another, the second does: at least 2.
        depth: Number of linear layers of every head.

    Raises:
        MMParetoError: If the encoders' layers differ in number, or `fusion_layers` does not fit
            them.

    Example:
        >>> shapes = {"gray": (1, 8, 8), "colour": (3, 9, 7)}
        >>> model = BottleneckTransformer().build(shapes, classes=10)
        >>> output = model({"gray": torch.zeros(2, 1, 8, 8), "colour": torch.zeros(2, 3, 9, 7)})
        >>> output.joint.shape, output.features["gray"].shape
        (torch.Size([2, 10]), torch.Size([2, 64]))
    """

    def __init__(
        self,
        encoders: Mapping[str, TokenEncoder],
        dim: int,
        classes: int,
        tokens: int = 4,
        fusion_layers: int = 2,
        depth: int = 1,
    ) -> None:
        super().__init__()
        check_modalities(encoders)
        check_counts(tokens=tokens, depth=depth)
        self.encoders = nn.ModuleDict(encoders)
        self.tokens = learned(1, tokens, dim)
        numbers = {modality: len(encoder.layers) for modality, encoder in encoders.items()}
        if len(set(numbers.values())) > 1:
            raise MMParetoError(
                f"Parameter `encoders` should have equally many layers. Found {numbers}."
            )
        self.layers, self.fusion_layers = max(numbers.values()), fusion_layers
        _check_fusion_layers(fusion_layers, self.layers)
        self.joint = head(dim, classes, depth)
        self.unimodal = heads(dict.fromkeys(encoders, dim), classes, depth)

    def forward(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Output:
        check_whole(rows)
        images = present(inputs, self.encoders)
        encoders = {modality: cast("TokenEncoder", self.encoders[modality]) for modality in images}
        tokens = apply_each(encoders, images)
        batch_size = next(iter(images.values())).shape[0]
        shared = self.tokens.expand(batch_size, -1, -1)
        for number in range(self.layers):
            layers = {modality: encoder.layers[number] for modality, encoder in encoders.items()}
            if number < self.layers - self.fusion_layers:
                tokens = apply_each(layers, tokens)
            else:
                tokens, shared = _fused(layers, tokens, shared)
        features = {modality: encoders[modality].norm(t[:, 0]) for modality, t in tokens.items()}
        logits = [self.joint(feature) for feature in features.values()]
        unimodal = apply_each(self.unimodal, features)
        return Output(torch.stack(logits).mean(0), unimodal, features)


def _fused(
    layers: Mapping[str, nn.Module], tokens: Mapping[str, Tensor], shared: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """One fusion layer.

    Args:
        layers: For each modality its transformer layer.
        tokens: For each modality its tokens [B, tokens, dim].
        shared: The shared tokens [B, shared, dim].

    Returns:
        The modalities' tokens and the shared ones after the layer.
    """
    after: dict[str, Tensor] = {}
    opinions: list[Tensor] = []
    for modality, sequence in tokens.items():
        transformed = layers[modality](torch.cat([sequence, shared], 1))
        after[modality] = transformed[:, : -shared.shape[1]]
        opinions.append(transformed[:, -shared.shape[1] :])
    return after, torch.stack(opinions).mean(0)


def _check_fusion_layers(fusion_layers: int, layers: int) -> None:
    if not isinstance(fusion_layers, int) or not 2 <= fusion_layers <= layers:
        raise MMParetoError(
            "Parameter `fusion_layers` should be from 2, the first in which modalities learn of "
            f"each other, to the number of layers, {layers}. Found {fusion_layers!r}."
        )


@dataclass(frozen=True)
class BottleneckTransformer(ModelRecipe):
    """Small transformers on image patches that share bottleneck tokens in their last layers (MBT).

    Args:
        dim: Width of the tokens.
        layers: Transformer layers per modality.
        fusion_layers: In how many of them, the last ones, the bottleneck tokens are shared; from 2
            to `layers`.
        tokens: Number of bottleneck tokens.
        heads: Attention heads, a divisor of `dim`.
        patch: Height and width of a patch in pixels.
        depth: Number of linear layers of every head.

    Example:
        >>> BottleneckTransformer(tokens=2).build({"gray": (1, 8, 8)}, classes=10).tokens.shape
        torch.Size([1, 2, 64])
    """

    name = "bottleneck"
    dense = True

    dim: int = 64
    layers: int = 3
    fusion_layers: int = 2
    tokens: int = 4
    heads: int = 4
    patch: int = 4
    depth: int = 1

    def __post_init__(self) -> None:
        check_counts(dim=self.dim, layers=self.layers, tokens=self.tokens, heads=self.heads)
        check_counts(patch=self.patch, depth=self.depth)
        _check_fusion_layers(self.fusion_layers, self.layers)
        if self.dim % self.heads:
            raise MMParetoError(
                f"Parameter `heads` should divide `dim`, {self.dim}. Found {self.heads!r}."
            )

    def build(self, shapes: Mapping[str, Shape], classes: int) -> BottleneckFusion:
        images = check_images(shapes)
        encoders = {
            modality: TokenEncoder(shape, self.dim, self.heads, self.layers, self.patch)
            for modality, shape in images.items()
        }
        return BottleneckFusion(
            encoders, self.dim, classes, self.tokens, self.fusion_layers, self.depth
        )
