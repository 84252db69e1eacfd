"""Callables in place of methods, TorchJD's weightings among them."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from families import FAMILIES, gradients, step
from networks import LateFusion, plain_gradients


@pytest.fixture
def torchjd() -> ModuleType:
    return pytest.importorskip(
        "torchjd.aggregation", reason="TorchJD is an optional source of weightings"
    )


def test_callable_receives_each_encoders_gramian() -> None:
    seen: list[Tensor] = []

    def first_alone(gramian: Tensor) -> Tensor:
        seen.append(gramian)
        return torch.eye(len(gramian), dtype=gramian.dtype)[0]

    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    joint = plain_gradients(model, losses["joint"])
    report = mp.backward(losses, model.partition, first_alone)
    assert all(
        torch.equal(gramian, encoder.gramian)
        for gramian, encoder in zip(seen, report.values(), strict=True)
    )
    for name, parameter in model.encoders.named_parameters(prefix="encoders"):
        assert torch.allclose(parameter.grad, joint[name], rtol=1e-12)


@pytest.mark.parametrize("m", [2, 3, 6])
@pytest.mark.parametrize(
    "name", ["AlignedMTLWeighting", "IMTLGWeighting", "MGDAWeighting", "PCGradWeighting"]
)
def test_torchjd_weightings_plug_in(torchjd: ModuleType, name: str, m: int) -> None:
    g = gradients("conflicting", m)
    weighting = getattr(torchjd, name)()
    torch.manual_seed(0)
    weights = weighting(g @ g.T)
    torch.manual_seed(0)
    h, report = step(g, weighting)
    assert torch.allclose(report["m1"].applied, weights, rtol=1e-9)
    assert torch.allclose(h, weights @ g, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"far-apart", "one-zero", "all-zero"}))
def test_mgda_of_two_objectives_is_torchjds(torchjd: ModuleType, family: str) -> None:
    """Whose Frank-Wolfe iteration is exact for two; zero gradients, which stop it, are excepted."""
    g = gradients(family, 2)
    theirs, _ = step(g, torchjd.MGDAWeighting())
    ours, _ = step(g, mp.MGDA())
    assert torch.allclose(ours, 2 * theirs, rtol=1e-9, atol=1e-12)


def test_mgda_of_many_objectives_is_what_torchjds_approaches(torchjd: ModuleType) -> None:
    for m in (3, 5, 8, 12):
        g = gradients("generic", m)
        theirs = [
            m * step(g, torchjd.MGDAWeighting(epsilon=1e-9, max_iters=n))[0].norm()
            for n in (10, 100, 1000)
        ]
        ours = step(g, mp.MGDA())[0].norm()
        assert 0 <= theirs[2] - ours < (theirs[1] - ours) / 2 < (theirs[0] - ours) / 4
