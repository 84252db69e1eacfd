"""The recipe of the authors' released loop, written anew: what MMPareto costs without this library.

One forward pass; a backward pass of each objective, after which its gradients are copied parameter by parameter; one
more of the sum, for the heads. Then inner products tensor by tensor, each waited for, and each tensor rescaled to the
length it has in the sum. With two encoders that makes four backward passes. The numbers are those of
``mp.MMPareto(granularity="tensor")``; the tests hold that against traces of the authors' own training. Nothing is
computed twice and no gradient is copied once more than that takes, so the time is rather too short than too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]


def authors_recipe(model: nn.Module, gamma: float = 1.5) -> Callable[[Losses], None]:
    """A function that writes into ``.grad`` what the released loop would, for a model with `encoders`."""

    def backward(losses: Losses) -> None:
        copies = {}
        for name, loss in losses.items():
            model.zero_grad()
            loss.backward(retain_graph=True)
            copies[name] = {p: p.grad.clone() for p in _encoded(model) if p.grad is not None}
        model.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for modality, encoder in model.encoders.items():
            parameters = list(encoder.parameters())
            joint, unimodal = ([copies[name][p] for p in parameters] for name in ("joint", modality))
            a, b = _weights(_dot(joint, joint), _dot(joint, unimodal), _dot(unimodal, unimodal))
            for parameter, j, u in zip(parameters, joint, unimodal, strict=True):
                combined = 2 * a * j + 2 * b * u
                stretch = parameter.grad.norm() / combined.norm()
                parameter.grad = gamma * (combined * stretch if stretch > 1 else combined)

    return backward


def _encoded(model: nn.Module) -> Iterable[nn.Parameter]:
    return (parameter for encoder in model.encoders.values() for parameter in encoder.parameters())


def _weights(jj: float, ju: float, uu: float) -> tuple[float, float]:
    if ju > 0:  # the sign of the cosine
        return 0.5, 0.5
    a = min(1.0, max(0.0, (uu - ju) / (jj + uu - 2 * ju)))
    return a, 1 - a


def _dot(xs: list[Tensor], ys: list[Tensor]) -> float:
    return sum((x * y).sum().item() for x, y in zip(xs, ys, strict=True))
