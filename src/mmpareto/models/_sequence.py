from __future__ import annotations

from torch import Tensor, nn

_KERNELS = (7, 5, 3)


class SequenceEncoder(nn.Module):
    """Three convolutions along a sequence, and the mean over its length.

    Each has batch norm and ReLU; the second is twice as wide. After Z. Wang, W. Yan and T. Oates,
    Time Series Classification from Scratch with Deep Neural Networks, IJCNN 2017, whose first
    kernel is 8 wide and has no middle; at `width` 128 the layers are as wide as theirs.

    Args:
        channels: Numbers at each place of a sequence.
        width: Width of the features.

    Example:
        >>> import torch
        >>> SequenceEncoder(channels=4, width=8)(torch.zeros(2, 64, 4)).shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for kernel, outputs in zip(_KERNELS, (width, 2 * width, width), strict=True):
            layers += [
                nn.Conv1d(channels, outputs, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
            ]
            channels = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, sequences: Tensor) -> Tensor:
        """Features [B, width] of sequences [B, length, channels]."""
        features: Tensor = self.layers(sequences.transpose(1, 2)).mean(2)
        return features
