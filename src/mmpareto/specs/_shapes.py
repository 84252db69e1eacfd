"""What one sample of a modality looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Text:
    """Token numbers, int64 [length]; 0 fills up what a shorter text leaves free.

    Args:
        length: Number of tokens of every sample.
        vocabulary: Number of different tokens, that of 0 included.
    """

    length: int
    vocabulary: int


Shape: TypeAlias = tuple[int, ...] | Text
"""An image or spectrogram [channels, height, width], a video [channels, frames, height, width], a
sequence [length, channels], an array [width]; or tokens."""
