"""AdamW."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from dataclasses import dataclass

import torch

from mmpareto.optimizers._optimizer import Groups, Optimizer, check_numbers


@dataclass(frozen=True)
class AdamW(Optimizer):
    """AdamW, under which a constant factor of the gradient, such as MMPareto's gamma, does nothing.

    It divides each gradient by the size of earlier ones (I. Loshchilov and F. Hutter, ICLR 2019).
    What remains of MMPareto is the direction: `scaled-uniform` trains as `uniform`.

    Args:
        lr: Learning rate.
        weight_decay: Factor of the weights that is taken off them, times the learning rate.
        betas: Factors of the running means of gradients and of their squares.
        eps: Is added to the size that a gradient is divided by.
    """

    name = "adamw"

    lr: float = 1e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "weight_decay", "eps")

    def make(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            groups, self.lr, self.betas, self.eps, weight_decay=self.weight_decay
        )
