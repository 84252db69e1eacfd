from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmpareto.models._fusion import Concatenation


class Exchange(nn.Module):
    r"""Weighs every modality's channels by what all modalities show.

    With :math:`s_k` [B, C_k] the mean of modality k's maps over space:

    .. math::
        z = \mathrm{ReLU}(W [s_1; \dots; s_K] + b), \qquad
        x_k \leftarrow 2 \sigma(W_k z + b_k) \odot x_k

    The means of a missing modality are zero.

    Source: Joze et al., "MMTM: Multimodal Transfer Module for CNN Fusion", CVPR 2020, arXiv
    1911.08670.

    Args:
        channels: For each modality the number of its channels.
        reduction: The width of z is the number of all channels divided by this, at least 1.

    Example:
        >>> import torch
        >>> exchange = Exchange({"audio": 4, "visual": 8})
        >>> sequence, image = torch.ones(2, 4, 50), torch.ones(2, 8, 5, 5)
        >>> maps = exchange({"audio": sequence, "visual": image})
        >>> maps["audio"].shape, maps["visual"].shape
        (torch.Size([2, 4, 50]), torch.Size([2, 8, 5, 5]))
    """

    def __init__(self, channels: Mapping[str, int], reduction: int = 4) -> None:
        super().__init__()
        self.concatenation = Concatenation(channels)
        width = max(1, self.concatenation.width // reduction)
        self.squeeze = nn.Linear(self.concatenation.width, width)
        self.excite = nn.ModuleDict(
            {modality: nn.Linear(width, count) for modality, count in channels.items()}
        )

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weighs the maps [B, channels, ...] of the modalities present, at least one."""
        means = {modality: x.flatten(2).mean(2) for modality, x in maps.items()}
        z = self.squeeze(self.concatenation(means)).relu()
        gates = {modality: 2 * self.excite[modality](z).sigmoid() for modality in maps}
        weighed: dict[str, Tensor] = {}
        for modality, x in maps.items():
            everywhere = [1] * (x.ndim - 2)
            weighed[modality] = x * gates[modality].view(*x.shape[:2], *everywhere)
        return weighed
