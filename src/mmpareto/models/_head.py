from __future__ import annotations

from collections.abc import Mapping

from torch import nn

_HIDDEN = 64


def head(inputs: int, classes: int, depth: int = 1) -> nn.Module:
    """A classifier of `depth` linear layers with ReLU between them, its hidden layers 64 wide.

    Args:
        inputs: Width of what it reads.
        classes: Number of classes.
        depth: Number of linear layers, at least 1; a single one is a plain ``nn.Linear``.

    Returns:
        A module from [B, inputs] to logits [B, classes].

    Example:
        >>> head(512, 10)
        Linear(in_features=512, out_features=10, bias=True)
        >>> [layer.out_features for layer in head(512, 10, depth=3) if isinstance(layer, nn.Linear)]
        [64, 64, 10]
    """
    if depth == 1:
        return nn.Linear(inputs, classes)
    layers: list[nn.Module] = [nn.Linear(inputs, _HIDDEN), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(_HIDDEN, classes))


def heads(widths: Mapping[str, int], classes: int, depth: int) -> nn.ModuleDict:
    """For each modality a `head` that reads features of its width."""
    return nn.ModuleDict(
        {modality: head(width, classes, depth) for modality, width in widths.items()}
    )
