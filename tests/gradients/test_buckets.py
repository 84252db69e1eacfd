"""Buckets change how many calls are made, and nothing else.

On a processor there are none but here.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.gradients import _buckets, _combine, combine, gramians, side_by_side
from networks import LateFusion, every_method

SIZES = [100, 1000, 2**25]


@pytest.fixture(params=SIZES, ids=str)
def _filled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_buckets, _combine):
        monkeypatch.setattr(module, "largest_bucket", lambda device: request.param)


def gradients(seed: int) -> list[list[Tensor | None]]:
    """Of three objectives: matrices, images in both layouts, one expanded, one empty, of several
    types; some objectives reach only a part.
    """
    torch.manual_seed(seed)
    rows: list[list[Tensor | None]] = []
    for objective in range(3):
        image = torch.randn(2, 3, 4, 4)
        row: list[Tensor | None] = [
            torch.randn(4, 5),
            image.to(memory_format=torch.channels_last),
            image if objective else image.to(memory_format=torch.channels_last),
            torch.randn(1).expand(7),
            torch.randn(5, 3).T,
            torch.randn(0),
            torch.randn(30, dtype=torch.float64),
            torch.randn(40).bfloat16(),
            torch.randn(()),
            torch.randn(50).bfloat16(),
        ]
        rows.append([None if (objective * 7 + n) % 5 == seed else g for n, g in enumerate(row)])
    return rows


@pytest.mark.usefixtures("_filled")
@pytest.mark.parametrize("seed", range(6))
def test_products_and_sums_are_those_of_the_tensors(seed: int) -> None:
    plain, weights = gradients(seed), torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    want = gramians(plain).sum(0)
    sums = combine([list(row) for row in plain], weights)
    given = [list(row) for row in plain]
    buckets = side_by_side(given, [True] * len(plain[0]))
    assert given == []
    torch.testing.assert_close(gramians(buckets.rows).sum(0), want, rtol=1e-12, atol=1e-12)
    for got, total in zip(buckets.apart(combine(buckets.rows, weights)), sums, strict=True):
        assert (got is None) == (total is None)
        if total is not None:
            assert (got.dtype, got.shape) == (total.dtype, total.shape)
            torch.testing.assert_close(got, total, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("_filled")
def test_groups_share_no_bucket_and_order_is_kept() -> None:
    tensors = [torch.full((n + 1,), float(n)) for n in range(9)]
    groups = [n % 2 == 0 for n in range(9)]
    buckets = side_by_side([list(tensors)], groups)
    for numbers, group in zip(buckets.numbers, buckets.groups, strict=True):
        assert {groups[number] for number in numbers} == {group}
    assert sorted(itertools.chain.from_iterable(buckets.numbers)) == list(range(9))
    for got, want in zip(buckets.apart(buckets.rows[0]), tensors, strict=True):
        assert torch.equal(got, want)


@every_method
@pytest.mark.parametrize("kind", ["exact", "probe", "every"])
def test_a_step_is_the_same(monkeypatch: pytest.MonkeyPatch, method: mp.Method, kind: str) -> None:
    if getattr(method, "per_tensor", False):
        kind = "exact"  # weights of each tensor know no shared pass
    received = []
    for size in (0, 200):
        for module in (_buckets, _combine):
            monkeypatch.setattr(module, "largest_bucket", lambda device, size=size: size)
        model = LateFusion("audio", "visual", "text")
        probe = {name: encoder[2] for name, encoder in model.encoders.items()}
        geometry = mp.Geometry(
            every=2 if kind == "every" else 1, probe=probe if kind == "probe" else None
        )
        for seed in range(2):
            losses = model.losses(model.batch(seed))
            mp.backward(losses, model.partition, method, geometry=geometry)
        received.append(nn.utils.parameters_to_vector(p.grad for p in model.parameters()))
    torch.testing.assert_close(*received, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("_filled")
def test_a_bucket_is_rounded_once() -> None:
    g, h = torch.randn(2, 60).bfloat16()
    weights = torch.tensor([1.001, 0.999])
    buckets = side_by_side([list(g.split(20)), list(h.split(20))], [True] * 3)
    got = torch.cat(buckets.apart(combine(buckets.rows, weights)))
    want = (weights.double()[0] * g.double() + weights.double()[1] * h.double()).bfloat16()
    assert got.dtype == torch.bfloat16
    assert ((got - want).abs() <= 2**-8 * want.abs()).all()  # a tie may fall to the other side
    assert (got == want).double().mean() >= 0.95
