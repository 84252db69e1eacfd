"""MMPareto written out literally and slowly, to be compared with; it imports nothing of the
library.

One ``.backward()`` per loss with gradients zeroed in between, each encoder's gradient flattened
into one vector, Python numbers for every decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def backward(
    losses: Mapping[str, Tensor],
    model: nn.Module,
    encoders: Mapping[str, nn.Module],
    gamma: float,
    granularity: str,
) -> dict[str, bool]:
    """Algorithm 1 of the paper (`granularity` "encoder"), or the authors' code ("tensor"), for
    ``.grad`` of `model`.

    Args:
        losses: "joint" and one loss per modality, each reaching its own encoder alone.
        model: Everything; what is in no encoder gets the gradient of the sum of all losses.
        encoders: Encoder by modality.
        gamma: Factor of the encoders' gradients.
        granularity: Over what the length is restored.

    Returns:
        By modality, whether the two gradients conflict.
    """
    gradients = {name: _gradient(loss, model) for name, loss in losses.items()}
    for parameter in model.parameters():
        parameter.grad = sum(gradients[name][parameter] for name in losses)

    conflicts = {}
    for modality, encoder in encoders.items():
        parameters = list(encoder.parameters())
        joint = [gradients["joint"][parameter] for parameter in parameters]
        unimodal = [gradients[modality][parameter] for parameter in parameters]
        a, b, conflicts[modality] = _weights(_flat(joint), _flat(unimodal))
        plain = [x + y for x, y in zip(joint, unimodal, strict=True)]
        combined = [2 * a * x + 2 * b * y for x, y in zip(joint, unimodal, strict=True)]
        for parameter, h, s in zip(parameters, combined, plain, strict=True):
            stretch = _stretch([h], [s]) if granularity == "tensor" else _stretch(combined, plain)
            parameter.grad = gamma * stretch * h
    return conflicts


def _gradient(loss: Tensor, model: nn.Module) -> dict[nn.Parameter, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    result = {
        p: torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()
    }
    model.zero_grad(set_to_none=True)
    return result


def _weights(joint: list[float], unimodal: list[float]) -> tuple[float, float, bool]:
    product = _dot(joint, unimodal)
    cosine = product / (_dot(joint, joint) * _dot(unimodal, unimodal)) ** 0.5
    if cosine > 0:
        return 0.5, 0.5, False
    distance = sum((x - y) ** 2 for x, y in zip(joint, unimodal, strict=True))
    a = (_dot(unimodal, unimodal) - product) / distance
    return a, 1 - a, True


def _stretch(combined: Sequence[Tensor], plain: Sequence[Tensor]) -> float:
    h, s = _flat(combined), _flat(plain)
    return max(1.0, (_dot(s, s) / _dot(h, h)) ** 0.5)


def _flat(tensors: Sequence[Tensor]) -> list[float]:
    return [entry for tensor in tensors for entry in tensor.flatten().tolist()]


def _dot(x: Sequence[float], y: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))
