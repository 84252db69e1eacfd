"""From the features of several modalities to one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmpareto.models._presence import Rows, placed, there


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
    r"""The features side by side, :math:`f = [x_1; \dots; x_K]`; those of a missing modality are zero.

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
        return torch.cat(
            [
                features[m] if m in features else like.new_zeros(len(like), width)
                for m, width in self.widths.items()
            ],
            1,
        )


class Sum(Fusion):
    r"""The sum of linear projections, :math:`f = \sum_k (P_k x_k + b_k)`; a missing modality is left out of it.

    A linear head on it computes, from two modalities or more, what one on the concatenation does,
    by other weights.

    Args:
        widths: For each modality the width of its features.
        dim: Width of the projections and of their sum.

    Example:
        >>> Sum({"audio": 2, "visual": 3}, dim=4)({"audio": torch.ones(1, 2), "visual": torch.ones(1, 3)}).shape
        torch.Size([1, 4])
    """

    def __init__(self, widths: Mapping[str, int], dim: int) -> None:
        super().__init__()
        self.width = dim
        self.projections = projections(widths, dim)

    def forward(self, features: Mapping[str, Tensor], rows: Rows | None = None) -> Tensor:
        return torch.stack(list(project(self.projections, features, rows).values())).sum(0)


def projections(widths: Mapping[str, int], dim: int) -> nn.ModuleDict:
    """For each modality a linear layer from its width to `dim`."""
    return nn.ModuleDict({modality: nn.Linear(width, dim) for modality, width in widths.items()})


def project(
    layers: nn.ModuleDict, features: Mapping[str, Tensor], rows: Rows | None
) -> dict[str, Tensor]:
    """Each modality's features through its own layer; zero for samples that lack it."""
    had = {modality: (rows or {}).get(modality) for modality in features}
    return {
        m: placed(layers[m](there(feature, had[m])), had[m], len(feature))
        for m, feature in features.items()
    }
