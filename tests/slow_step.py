"""A training step written out slowly in float64: vectors, Python decisions, scipy's solver for the
min-norm point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

import mmpareto as mp

Step = dict[Tensor, Tensor | None]

COMPARED = [mp.Uniform(), mp.MGDA(), mp.MMPareto(), mp.MMPareto(gamma=1.2, granularity="tensor")]


def expected(
    losses: Mapping[str, Tensor],
    parameters: Iterable[Tensor],
    encoders: Mapping[str, object],
    method: mp.Method,
    sides: str = "own",
) -> Step:
    """What ``.grad`` of each parameter should become; None where it should stay as it is.

    The graph is kept.
    """
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    return integrated(
        {name: gradient(loss, parameters) for name, loss in losses.items()},
        encoders,
        method,
        sides,
    )


def gradient(loss: Tensor, parameters: list[Tensor]) -> Step:
    received = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {p: None if g is None else g.double() for p, g in zip(parameters, received, strict=True)}


def integrated(
    objectives: Mapping[str, Step],
    encoders: Mapping[str, object],
    method: mp.Method,
    sides: str = "own",
) -> Step:
    """What ``.grad`` should become, from the gradients of all objectives."""
    result = {
        p: _sum([step[p] for step in objectives.values()]) for p in next(iter(objectives.values()))
    }
    for name, encoder in encoders.items():
        inside = encoder.parameters() if isinstance(encoder, nn.Module) else encoder
        reached = [p for p in inside if p in result and result[p] is not None]
        fixed = isinstance(method, mp.LossWeighting)
        compared = objectives if fixed else sided(objectives, name, sides)
        result |= _balanced(compared, reached, method)
    return result


def sided(objectives: Mapping[str, Step], encoder: str, rule: str) -> Mapping[str, Step]:
    """What is balanced on an encoder: its own objective and the sum of the others, or each."""
    if rule == "all" or encoder not in objectives:
        return objectives
    names = [name for name in objectives if name != encoder]
    others = [objectives[name] for name in names if rule == "own" or name == "joint"]
    own = objectives[encoder]
    return {"others": {p: _sum([step[p] for step in others]) for p in own}, encoder: own}


def _balanced(objectives: Mapping[str, Step], inside: list[Tensor], method: mp.Method) -> Step:
    if method == mp.Joint():
        return {p: objectives["joint"][p] if "joint" in objectives else None for p in inside}
    rows = [
        [torch.zeros_like(p).double() if step[p] is None else step[p] for p in inside]
        for step in objectives.values()
    ]
    plain = [sum(column) for column in zip(*rows, strict=True)]
    if isinstance(method, mp.Uniform | mp.ScaledUniform):
        return {p: getattr(method, "gamma", 1.0) * g for p, g in zip(inside, plain, strict=True)}
    rows = [row for row in rows if any(g.any() for g in row)]
    vectors = [_flat(row) for row in rows]
    conflict = any(float(x @ y) <= 0 for i, x in enumerate(vectors) for y in vectors[:i])
    if rows and (conflict or method == mp.MGDA()):
        weights = len(rows) * min_norm(np.stack(vectors))
    else:
        weights = [1.0] * len(rows)
    short = [
        sum(w * g for w, g in zip(weights, column, strict=True))
        for column in zip(*rows, strict=True)
    ] or plain
    if method == mp.MGDA():
        return dict(zip(inside, short, strict=True))
    if method.granularity == "tensor":
        stretched = [_stretch([h], [g]) * h for h, g in zip(short, plain, strict=True)]
    else:
        stretched = [_stretch(short, plain) * h for h in short]
    return {p: method.gamma * h for p, h in zip(inside, stretched, strict=True)}


def min_norm(vectors: np.ndarray) -> np.ndarray:
    """Weights on the simplex: the ray of x >= 0 that minimizes ``|V'x|^2 + (scale * (sum(x) -
    1))^2``.
    """
    scale = np.linalg.norm(vectors, axis=1).min()
    x = nnls(
        np.vstack([vectors.T, np.full(len(vectors), scale)]),
        np.append(np.zeros(vectors.shape[1]), scale),
    )[0]
    return x / x.sum()


def _stretch(h: list[Tensor], g: list[Tensor]) -> float:
    length = np.linalg.norm(_flat(h))
    return max(1.0, np.linalg.norm(_flat(g)) / length) if length else 1.0


def _flat(tensors: list[Tensor]) -> np.ndarray:
    return np.concatenate([tensor.detach().flatten().numpy() for tensor in tensors])


def _sum(gradients: list[Tensor | None]) -> Tensor | None:
    present = [gradient for gradient in gradients if gradient is not None]
    return sum(present[1:], present[0]) if present else None


def apart(got: Mapping[Tensor, Tensor | None], want: Mapping[Tensor, Tensor | None]) -> float:
    """Largest distance of two gradients of a parameter, relative to their length; infinite where
    one is absent.
    """
    distances = [0.0]
    for parameter, reference in want.items():
        gradient = got[parameter]
        if gradient is None or reference is None:
            distances.append(0.0 if gradient is reference else float("inf"))
        elif reference.any() or gradient.any():
            length = max(reference.double().norm(), gradient.double().norm())
            distances.append(float((gradient.double() - reference.double()).norm() / length))
    return float("nan") if any(d != d for d in distances) else max(distances)


def received(parameters: Iterable[Tensor]) -> Step:
    return {parameter: parameter.grad for parameter in parameters}
