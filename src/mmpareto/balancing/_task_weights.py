"""Weights of two tasks on each encoder, and how hard the tasks pull."""

from __future__ import annotations

import torch
from torch import Tensor

from mmpareto.balancing._setup import Names, Setup
from mmpareto.balancing._view import View


class TaskWeights(Names):
    """For each modality the weights [M, 2] of the joint loss and its own, and their first values.

    The first losses are 0 until they are known.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.encoders)
        self.weights: Tensor
        self.first: Tensor
        self.register_buffer("weights", setup.zeros(len(self.modalities), 2) + 1)
        self.register_buffer("first", setup.zeros(len(self.modalities), 2))


def squared_lengths(view: View, objective: str, feature: Tensor) -> Tensor:
    """Squared lengths [B] of the gradients of each sample's loss at the features [B, ...]."""
    if not feature.requires_grad:
        return feature.new_zeros(len(feature))
    samples = len(view.having(objective, view.label))
    with torch.enable_grad():
        total = samples * view.losses[objective]
    (gradient,) = torch.autograd.grad(total, feature, retain_graph=True, allow_unused=True)
    if gradient is None:
        return feature.new_zeros(len(feature))
    return gradient.flatten(1).square().sum(1)
