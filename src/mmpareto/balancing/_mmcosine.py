from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._shares import joint_alone
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT


class CosineHead(nn.Module):
    r"""A joint head :math:`z = s \sum_m \cos(W_m, x_m)` on concatenated features.

    Args:
        widths: For each modality the width of its features.
        outputs: Number of classes.
        scale: The factor s.

    Example:
        >>> head = CosineHead({"audio": 2, "visual": 2}, outputs=2, scale=10.0)
        >>> head(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    def __init__(self, widths: Mapping[str, int], outputs: int, scale: float) -> None:
        super().__init__()
        self.widths, self.scale = list(widths.values()), scale
        self.weight = nn.Parameter(torch.empty(outputs, sum(self.widths)))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, outputs] of features [B, width]; those of a missing modality add nothing."""
        total = features.new_zeros(len(features), len(self.weight))
        parts = zip(
            torch.split(features, self.widths, 1),
            torch.split(self.weight, self.widths, 1),
            strict=True,
        )
        for x, weight in parts:
            total = total + functional.normalize(x) @ functional.normalize(weight).T
        return self.scale * total


@dataclass(frozen=True)
class MMCosine(LossWeighting):
    r"""The joint loss alone, on a joint head that no modality's feature length can dominate.

    .. math:: z = s \sum_m \cos(W_m, x_m)

    A head rather than a method: the model keeps it, also for prediction.

    Source: Xu et al., "MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained
    Learning", ICASSP 2023, arXiv 2303.05338.

    Args:
        scale: The factor s, positive.

    Example:
        >>> MMCosine(scale=10.0).loss_weights(["joint", "audio"])
        [1.0, 0.0]
    """

    name = "mmcosine"
    facts = Facts(
        source="Xu et al., ICASSP 2023, arXiv 2303.05338",
        family="head",
        needs="a joint head on concatenated features",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"scale": Range(5.0, 30.0, "log")},
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse"})

    scale: float = 10.0

    def __post_init__(self) -> None:
        check_not_negative(scale=self.scale)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def adapt(self, model: nn.Module) -> None:
        widths = getattr(getattr(model, "fusion", None), "widths", None)
        head = getattr(model, "joint", None)
        if widths is None or not isinstance(head, nn.Linear):
            raise MMParetoError(
                "Parameter `model` should have one linear joint head on concatenated features for "
                f"{self.name}. Found {type(model).__name__}. Use the model late-fusion of depth 1."
            )
        model.joint = CosineHead(widths, head.out_features, self.scale)
