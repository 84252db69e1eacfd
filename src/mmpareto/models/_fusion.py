"""From the features of several modalities to one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmpareto.models._presence import Rows, scatter_present, select_present


class Fusion(nn.Module, ABC):
    """Makes one vector of the modalities' features.

    Attributes:
        width: Width of what it returns.
    """

    width: int

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        """Fuses the features of the modalities present, at least one.

        Args:
            features: For each modality [B, its width]; zero for samples that lack it.
            rows: For each modality that some samples lack, int64 [n], which have it.

        Returns:
            Tensor [B, width]. A sample that lacks a modality is fused as in a batch that lacks it.
        """


class Concatenation(Fusion):
    r"""The features side by side, :math:`f = [x_1; \dots; x_K]`.

    Those of a missing modality are zero.

    Args:
        widths: For each modality the width of its features.

    Example:
        >>> fusion = Concatenation({"audio": 2, "visual": 3})
        >>> fusion({"visual": torch.ones(1, 3)})
        tensor([[0., 0., 1., 1., 1.]])
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.width = sum(self.widths.values())

    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        like = next(iter(features.values()))
        parts: list[Tensor] = []
        for modality, width in self.widths.items():
            missing = modality not in features
            parts.append(like.new_zeros(like.shape[0], width) if missing else features[modality])
        return torch.cat(parts, 1)


class Sum(Fusion):
    r"""The sum of linear projections, :math:`f = \sum_k (P_k x_k + b_k)`.

    A missing modality is left out of it. A linear head on it computes, from two modalities or
    more, what one on the concatenation does, by other weights.

    Args:
        widths: For each modality the width of its features.
        dim: Width of the projections and of their sum.

    Example:
        >>> fusion = Sum({"audio": 2, "visual": 3}, dim=4)
        >>> fusion({"audio": torch.ones(1, 2), "visual": torch.ones(1, 3)}).shape
        torch.Size([1, 4])
    """

    def __init__(self, widths: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.width = dim
        self.projections = projections(widths, dim)

    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        projected = project(self.projections, features, rows)
        return torch.stack(list(projected.values())).sum(0)


def projections(widths: Mapping[str, int], dim: int) -> nn.ModuleDict:
    """For each modality a linear layer from its width to `dim`."""
    return nn.ModuleDict({modality: nn.Linear(width, dim) for modality, width in widths.items()})


def project(
    layers: nn.ModuleDict, features: Mapping[str, Tensor], rows: Rows | None
) -> dict[str, Tensor]:
    """Each modality's features through its own layer; zero for samples that lack it."""
    projected: dict[str, Tensor] = {}
    for modality, feature in features.items():
        present = (rows or {}).get(modality)
        values = layers[modality](select_present(feature, present))
        projected[modality] = scatter_present(values, present, feature.shape[0])
    return projected
