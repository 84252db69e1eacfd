"""Gray digits with a coloured copy, whose colour tells the class in training, not in the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmpareto.data._dataset import Batch, MultimodalDataset, Splits
from mmpareto.errors import MMParetoError

DIGITS = tuple("0123456789")

MEAN_COLOURS = (
    (220, 20, 60),
    (0, 128, 128),
    (253, 233, 16),
    (0, 149, 182),
    (237, 145, 33),
    (145, 30, 188),
    (70, 240, 240),
    (250, 197, 187),
    (210, 245, 60),
    (128, 0, 0),
)
"""Mean colour of each digit, RGB in 0..255."""

COLOUR_MEAN, COLOUR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Digits(NamedTuple):
    """Images [N, H, W], uint8 from 0 to `white`, and labels [N] from 0 to 9."""

    images: Tensor
    labels: Tensor


def check_variance(variance: float) -> None:
    """Raises unless `variance` is a number that a variance can be."""
    if not 0 <= variance < float("inf"):
        raise MMParetoError(
            f"Parameter `variance` should be finite and not negative. Found {variance!r}."
        )


def colours(labels: Tensor, variance: float, generator: torch.Generator, *, biased: bool) -> Tensor:
    """One random colour per image.

    Args:
        labels: Tensor [N] of digits.
        variance: Variance of the normal jitter around the mean colour, per channel, in units of
            full intensity squared.
        generator: Source of randomness.
        biased: Whether the mean colour is the digit's own, or that of a digit drawn at random.

    Returns:
        Tensor [N, 3] in [0, 1]; what the jitter carries beyond is clipped.

    Example:
        >>> colours(torch.tensor([9, 9]), 0.0, torch.Generator(), biased=True)
        tensor([[0.5020, 0.0000, 0.0000],
                [0.5020, 0.0000, 0.0000]])
    """
    palette = torch.tensor(MEAN_COLOURS) / 255
    digits = labels if biased else torch.randint(len(palette), labels.shape, generator=generator)
    jitter = math.sqrt(variance) * torch.randn(len(labels), 3, generator=generator)
    return (palette[digits] + jitter).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class ColouredDigits(MultimodalDataset):
    """Modalities ``gray`` [1, H, W] and ``colour`` [3, H, W] of the same digit on black ground.

    Both are normalized.

    Args:
        digits: Images and their labels.
        colours: Tensor [N, 3] in [0, 1].
        ids: Tensor [N], a sample's number in the data set as distributed.
        white: Largest value of an image.
        gray_mean: What is subtracted from the gray image in [0, 1].
        gray_std: What it is divided by then.
    """

    digits: Digits
    colours: Tensor
    ids: Tensor
    white: int
    gray_mean: float
    gray_std: float

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Batch:
        gray = self.digits.images[index].unsqueeze(-3) / self.white
        colour = gray * self.colours[index][..., None, None]
        mean = torch.tensor(COLOUR_MEAN)[:, None, None]
        std = torch.tensor(COLOUR_STD)[:, None, None]
        inputs = {"gray": (gray - self.gray_mean) / self.gray_std, "colour": (colour - mean) / std}
        return {"inputs": inputs, "label": self.digits.labels[index], "id": self.ids[index]}

    def __len__(self) -> int:
        return len(self.digits.labels)


def coloured_splits(
    digits: Digits,
    parts: dict[str, Tensor],
    variance: float,
    *,
    white: int,
    gray_mean: float,
    gray_std: float,
) -> Splits:
    """Colours the digits and divides them.

    Args:
        digits: All N digits.
        parts: Indices of ``"train"``, ``"val"`` and ``"test"``.
        variance: Variance of the colours' jitter.
        white: Largest value of an image.
        gray_mean: Mean of the gray images in [0, 1].
        gray_std: Their standard deviation.

    Returns:
        The splits. Colours depend on nothing but the arguments.
    """
    generator = torch.Generator().manual_seed(0)
    datasets = {}
    for part, index in parts.items():
        in_part = Digits(digits.images[index], digits.labels[index])
        shades = colours(in_part.labels, variance, generator, biased=part == "train")
        datasets[part] = ColouredDigits(in_part, shades, index, white, gray_mean, gray_std)
    return Splits(**datasets)
