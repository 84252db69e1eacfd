"""Gradients constructed to have a known geometry, and the training step that carries them through
`mp.backward`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

import mmpareto as mp

SHAPES = ((5,), (2, 2), (3, 1), ())  # of the encoder's parameter tensors
EACH_BY_ITSELF = mp.Geometry(sides="all")
SIZE = 13  # and their entries in all

Family = Callable[[int, Generator], Tensor]


def _normal(*shape: int, generator: Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _uniform(*shape: int, generator: Generator) -> Tensor:
    return 0.1 + torch.rand(*shape, generator=generator, dtype=torch.float64)


def _generic(m: int, g: Generator) -> Tensor:
    return _normal(m, SIZE, generator=g)


def _aligned(m: int, g: Generator) -> Tensor:
    return _uniform(m, SIZE, generator=g)


def _conflicting(m: int, g: Generator) -> Tensor:
    """All have a part along one common direction, yet the first two are at an obtuse angle; lengths
    differ.
    """
    common, *apart = torch.linalg.qr(_normal(SIZE, m, generator=g))[0].T
    gradients = torch.stack(
        [common - 2 * apart[0], *(common + 2 * direction for direction in apart)]
    )
    return gradients * torch.logspace(0, 1, m, dtype=torch.float64)[:, None]


def _leaning(m: int, g: Generator) -> Tensor:
    """At acute angles, and so unequal that the shortest gradient is the min-norm point."""
    common, *apart = torch.linalg.qr(_normal(SIZE, m, generator=g))[0].T
    gradients = torch.stack([common, *(2 * common + 0.5 * direction for direction in apart)])
    return gradients[torch.randperm(m, generator=g)]


def _orthogonal(m: int, g: Generator) -> Tensor:
    return torch.eye(m, SIZE, dtype=torch.float64)[:, torch.randperm(SIZE, generator=g)] * _uniform(
        m, 1, generator=g
    )


def _equal(m: int, g: Generator) -> Tensor:
    return _normal(1, SIZE, generator=g).repeat(m, 1)


def _opposite(m: int, g: Generator) -> Tensor:
    """All on one line, in both directions."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(m)[:m, None]
    return signs * _uniform(m, 1, generator=g) * _normal(1, SIZE, generator=g)


def _rank_deficient(m: int, g: Generator) -> Tensor:
    return _normal(m, max(1, m // 2), generator=g) @ _normal(max(1, m // 2), SIZE, generator=g)


def _duplicate(m: int, g: Generator) -> Tensor:
    gradients = _normal(m, SIZE, generator=g)
    gradients[-1] = gradients[0]
    return gradients


def _cancelling(m: int, g: Generator) -> Tensor:
    """Zero is inside the hull: no direction is common to all."""
    gradients = _normal(m, SIZE, generator=g)
    gradients[-1] = -(_uniform(m - 1, generator=g) @ gradients[:-1])
    return gradients


def _one_zero(m: int, g: Generator) -> Tensor:
    gradients = _normal(m, SIZE, generator=g)
    gradients[torch.randint(m, (1,), generator=g)] = 0
    return gradients


def _all_zero(m: int, g: Generator) -> Tensor:
    return torch.zeros(m, SIZE, dtype=torch.float64)


def _far_apart(m: int, g: Generator) -> Tensor:
    lengths = torch.logspace(0, 8, m, dtype=torch.float64)[torch.randperm(m, generator=g)]
    return lengths[:, None] * _normal(m, SIZE, generator=g)


FAMILIES: dict[str, Family] = {
    "generic": _generic,
    "aligned": _aligned,
    "conflicting": _conflicting,
    "leaning": _leaning,
    "orthogonal": _orthogonal,
    "equal": _equal,
    "opposite": _opposite,
    "rank-deficient": _rank_deficient,
    "duplicate": _duplicate,
    "cancelling": _cancelling,
    "one-zero": _one_zero,
    "all-zero": _all_zero,
    "far-apart": _far_apart,
}


def gradients(family: str, m: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Gradients [m, SIZE] of a family."""
    return FAMILIES[family](m, torch.Generator().manual_seed(seed)).to(dtype)


def step(
    gradients: Tensor,
    method: mp.Method,
    *,
    factor: float = 1.0,
    geometry: mp.Geometry | None = EACH_BY_ITSELF,
) -> tuple[Tensor, mp.StepReport]:
    """One call of `mp.backward` whose objectives have these gradients, times `factor`, on encoder
    "m1".

    The losses are linear in the encoder's parameters. With three objectives or more, the unimodal
    losses of other modalities reach the encoder too, as with dense interaction.

    Returns:
        What the encoder received, as one vector, and the report.
    """
    encoder = [nn.Parameter(gradients.new_zeros(shape)) for shape in SHAPES]
    others = {f"m{i}": [nn.Parameter(gradients.new_zeros(()))] for i in range(2, len(gradients))}
    losses = {}
    for name, gradient in zip(["joint", "m1", *others], gradients, strict=False):
        parts = gradient.split([parameter.numel() for parameter in encoder])
        losses[name] = factor * sum(
            (part.view_as(p) * p).sum() for part, p in zip(parts, encoder, strict=True)
        )
        losses[name] = losses[name] + sum(others.get(name, []))
    report = mp.backward(losses, {"m1": encoder, **others}, method, geometry=geometry)
    received = [torch.zeros_like(p) if p.grad is None else p.grad for p in encoder]
    return torch.cat([gradient.flatten() for gradient in received]), report
