"""The authors' released loop, written anew: what MMPareto costs without this library.

One forward pass; a backward pass of each objective, after which its gradients are copied parameter
by parameter and once more end to end; their cosine, which the host waits for; where it is negative,
inner products tensor by tensor, each waited for; a backward pass of the sum; and each tensor
rescaled to the length it has in the sum, of which a copy is made to measure it. With two encoders
that makes four backward passes. It copies where the released loop copies and waits where that
waits, no more often. The numbers are those of ``mp.MMPareto(granularity="tensor")``; the tests hold
that against traces of the authors' own training.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

Losses = dict[str, Tensor]


def authors_recipe(model: nn.Module, gamma: float = 1.5) -> Callable[[Losses], None]:
    """Makes, for a model with `encoders`, what writes into ``.grad`` as the released loop does."""
    encoders = {
        modality: list(encoder.parameters()) for modality, encoder in model.encoders.items()
    }

    def backward(losses: Losses) -> None:
        copies: dict[tuple[str, str], list[Tensor]] = {}
        ends: dict[tuple[str, str], Tensor] = {}
        for name, loss in losses.items():
            model.zero_grad()
            loss.backward(retain_graph=True)
            for modality in encoders if name == "joint" else (name,):
                copies[modality, name] = [p.grad.clone() for p in encoders[modality]]
                ends[modality, name] = torch.cat(
                    [gradient.flatten() for gradient in copies[modality, name]]
                )
        model.zero_grad()
        weights = {modality: _weights(copies, ends, modality) for modality in encoders}
        sum(losses.values()).backward()
        for modality, (a, b) in weights.items():
            pairs = zip(copies[modality, "joint"], copies[modality, modality], strict=True)
            for parameter, (joint, unimodal) in zip(encoders[modality], pairs, strict=True):
                length = parameter.grad.clone().norm()
                combined = 2 * a * joint + 2 * b * unimodal
                stretch = length / combined.norm()
                parameter.grad = stretch * combined * gamma if stretch > 1 else combined * gamma

    return backward


def _weights(
    copies: dict[tuple[str, str], list[Tensor]], ends: dict[tuple[str, str], Tensor], modality: str
) -> tuple[float, float]:
    """Of the joint and the unimodal gradient."""
    if cosine_similarity(ends[modality, "joint"], ends[modality, modality], dim=0) > 0:
        return 0.5, 0.5
    joint, unimodal = copies[modality, "joint"], copies[modality, modality]
    jj, ju, uu = _dot(joint, joint), _dot(joint, unimodal), _dot(unimodal, unimodal)
    a = min(1.0, max(0.0, (uu - ju) / (jj + uu - 2 * ju)))
    return a, 1 - a


def _dot(xs: list[Tensor], ys: list[Tensor]) -> float:
    return sum((x * y).sum().item() for x, y in zip(xs, ys, strict=True))
