"""Stochastic gradient descent."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from dataclasses import dataclass

import torch

from mmpareto.optimizers._optimizer import Groups, Optimizer, check_numbers


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with the paper's settings.

    Args:
        lr: Learning rate.
        momentum: Factor of the running sum of gradients.
        weight_decay: Factor of the weights added to their gradient.
    """

    name = "sgd"

    lr: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "momentum", "weight_decay")

    def make(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, self.lr, self.momentum, weight_decay=self.weight_decay)
