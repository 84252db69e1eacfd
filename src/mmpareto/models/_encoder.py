from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Encoder(NamedTuple):
    """A module from inputs [B, ...] to features [B, width], and this width."""

    module: nn.Module
    width: int
