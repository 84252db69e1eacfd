"""What is done to every modality alike."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def apply_each(
    modules: Mapping[str, nn.Module] | nn.ModuleDict, values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Each modality's values through the module of that modality.

    Example:
        >>> import torch
        >>> apply_each({"audio": nn.ReLU(), "visual": nn.Tanh()}, {"audio": torch.tensor([-1.0])})
        {'audio': tensor([0.])}
    """
    return {modality: modules[modality](value) for modality, value in values.items()}
