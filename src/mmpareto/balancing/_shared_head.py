"""One head for the features of all modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmpareto.balancing._setup import Setup
from mmpareto.errors import MMParetoError


class Projection(nn.Module):
    """The matrix P of directions in the shared head's inputs that earlier modalities left free."""

    def __init__(self, setup: Setup, weight: Tensor) -> None:
        super().__init__()
        self.weights = [weight]  # in a list: it is the model's, and not remembered
        width = weight.shape[1]
        self.p: Tensor
        self.register_buffer("p", torch.diag(setup.zeros(width) + 1))


def share_head(model: nn.Module, method: str) -> None:
    """Gives all modalities the first one's head.

    Raises:
        MMParetoError: If not all have a linear one on features of one width; names the method.
    """
    heads = getattr(model, "unimodal", None)
    if not isinstance(heads, nn.ModuleDict) or not _alike(heads):
        raise MMParetoError(
            "Parameter `model` should have one linear head per modality, on features of equal "
            f"widths, for {method}, which shares one. Found {type(model).__name__}. Use the "
            "model late-fusion of depth 1 on inputs of one kind."
        )
    shared = next(iter(heads.values()))
    for modality in heads:
        heads[modality] = shared


def _alike(heads: nn.ModuleDict) -> bool:
    """Whether all heads are linear, and read features of one width."""
    widths = set()
    for module in heads.values():
        widths.add(module.in_features if isinstance(module, nn.Linear) else None)
    return len(widths) == 1 and None not in widths
