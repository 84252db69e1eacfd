"""What a step reports, against the same numbers taken from autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import mmpareto as mp
from families import SHAPES, gradients, step
from mmpareto.gradients import conflict
from networks import LateFusion, every_method


def flat(loss: Tensor, encoder: torch.nn.Module) -> Tensor:
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, [*encoder.parameters()], retain_graph=True)]
    )


@every_method
def test_geometry_is_that_of_the_objectives_gradients(method: mp.Method) -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    expected = {
        name: torch.stack([flat(losses[objective], encoder) for objective in ("joint", name)])
        for name, encoder in model.encoders.items()
    }
    report = mp.backward(losses, model.partition, method)
    assert [*report] == ["audio", "visual"]
    for name, g in expected.items():
        encoder = report[name]
        assert encoder.objectives == ("joint", name)
        assert torch.allclose(encoder.gramian, g @ g.T, rtol=1e-12)
        assert torch.allclose(
            encoder.cosine, torch.cosine_similarity(g[0], g[1], dim=0), rtol=1e-12
        )
        assert encoder.conflict == (g[0] @ g[1] <= 0)
        for objective, length in zip(("joint", name), g.norm(dim=1), strict=True):
            assert torch.allclose(encoder.norms[objective], length, rtol=1e-12)


@every_method
def test_weights_are_those_applied(method: mp.Method) -> None:
    g = gradients("conflicting", 3)
    h, report = step(g, method)
    applied = report["m1"].applied
    parts = [torch.Size(shape).numel() for shape in SHAPES]
    rows = applied.expand(len(parts), 3).repeat_interleave(torch.tensor(parts), 0).T
    assert torch.allclose((rows * g).sum(0), h, rtol=1e-12, atol=1e-14)
    for index, weight in enumerate(report["m1"].weights.values()):
        assert torch.allclose(weight, applied.expand(len(parts), 3)[:, index].mean(), rtol=1e-12)


def test_scalars_are_named_and_flat() -> None:
    model = LateFusion("audio", "visual")
    losses = model.losses(model.batch())
    del losses["visual"]
    scalars = mp.backward(losses, model.partition, mp.MMPareto()).scalars()
    assert {*scalars} == {
        *("cosine/audio", "conflict/audio", "cosine/visual", "conflict/visual"),
        *("norm/audio/joint", "norm/audio/audio", "norm/visual/joint"),
        *("weight/audio/joint", "weight/audio/audio", "weight/visual/joint"),
    }
    assert all(scalar.shape == () and not scalar.requires_grad for scalar in scalars.values())


@every_method
def test_a_single_objective_has_no_conflict(method: mp.Method) -> None:
    model = LateFusion("audio")
    report = mp.backward({"joint": model.losses(model.batch())["joint"]}, model.partition, method)[
        "audio"
    ]
    assert report.cosine == 0
    assert not report.conflict
    assert all(scalar.isfinite() for scalar in (*report.norms.values(), *report.weights.values()))


def test_cosine_is_the_smallest_of_any_two() -> None:
    g = torch.zeros(4, 13, dtype=torch.float64)
    g[0, 0], g[1, 1], g[2, :2] = 1, 2, torch.tensor([-3.0, 3.0])
    encoder = step(g, mp.MMPareto())[1]["m1"]
    assert torch.allclose(encoder.cosine, torch.tensor(-(0.5**0.5), dtype=torch.float64))
    assert encoder.conflict


@pytest.mark.parametrize("family", ["orthogonal", "opposite"])
def test_no_positive_product_is_a_conflict(family: str) -> None:
    assert step(gradients(family, 2), mp.Uniform())[1]["m1"].conflict


@pytest.mark.parametrize("squares", [(1e38, 1e38), (1e38, 1e-38), (1e-38, 1e-38)], ids=str)
@pytest.mark.parametrize("cosine", [1e-6, -1e-6])
def test_neither_long_nor_short_gradients_lose_their_sign(
    squares: tuple[float, float], cosine: float
) -> None:
    product = cosine * squares[0] ** 0.5 * squares[1] ** 0.5
    gramian = torch.tensor([[squares[0], product], [product, squares[1]]])
    assert conflict(gramian) == (cosine < 0)
    third = torch.full((3, 3), 1e-3)
    third[:2, :2] = gramian
    assert conflict(third) == (cosine < 0)


@pytest.mark.parametrize("rows", [[], [0], [1], [0, 1]], ids=str)
def test_zero_gradients_conflict_with_nothing(rows: list[int]) -> None:
    g = gradients("aligned", 3)
    g[rows] = 0
    encoder = step(g, mp.MMPareto())[1]["m1"]
    assert not encoder.conflict
    assert (encoder.cosine == 0) == (len(rows) == 2)


def test_reports_are_mappings_by_modality() -> None:
    model = LateFusion("audio", "visual")
    report = mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    assert isinstance(report["audio"], mp.EncoderReport)
    assert len(report) == 2
    assert (
        repr(report) == "StepReport({'audio': ('joint', 'audio'), 'visual': ('joint', 'visual')})"
    )
    assert mp.StepReport({}).scalars() == {}
