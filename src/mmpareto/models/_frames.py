from __future__ import annotations

from torch import Tensor, nn


class FrameEncoder(nn.Module):
    """Encodes every frame of a video, and takes the mean of their features.

    Args:
        encoder: From images [B, channels, H, W] to features [B, width].

    Example:
        >>> import torch
        >>> FrameEncoder(nn.Flatten())(torch.zeros(2, 3, 5, 4, 4)).shape  # five frames
        torch.Size([2, 48])
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, videos: Tensor) -> Tensor:
        """Features [B, width] of videos [B, channels, frames, H, W]."""
        samples, _, frames, _, _ = videos.shape
        features: Tensor = self.encoder(videos.transpose(1, 2).flatten(0, 1))
        return features.view(samples, frames, -1).mean(1)
