"""The min-norm point, certified: h = sum_i w_i g_i is the shortest of the hull iff h.h <= h.g_i for
all i.

The two sides cannot be known better than to rounding, which is relative to S^2 and to S |g_i|, S =
sum_i w_i |g_i|. The certificate is taken in exact arithmetic, so that nothing but
`min_norm_weights` is measured.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from dispatched import count, on_meta
from families import FAMILIES, gradients
from mmpareto.balancing import _min_norm
from mmpareto.balancing._min_norm import min_norm_weights

ROUNDING = {torch.float64: 1e-13, torch.float32: 1e-6}
SOLVERS = {
    "over-faces": 16,
    "active-set": 2,
}  # by the largest number of objectives whose faces are enumerated

_exact = np.vectorize(Fraction, otypes=[object])


def excess(g: Tensor, weights: Tensor) -> float:
    """By how much, relative to rounding, the certificate is missed."""
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert abs(weights.double().sum() - 1) <= 2 * len(g) * torch.finfo(weights.dtype).eps
    w, rows, lengths = (
        _exact(weights.double().numpy()),
        _exact(g.double().numpy()),
        g.double().norm(dim=1),
    )
    h = w @ rows
    size = float(weights.double() @ lengths)
    missing = [
        float(h @ h - h @ row) / (size * (size + float(length)))
        for row, length in zip(rows, lengths, strict=True)
        if length > 0
    ]
    return max(missing, default=0.0)


def solve(g: Tensor) -> Tensor:
    return min_norm_weights(g @ g.T)


@pytest.fixture(params=SOLVERS.values(), ids=SOLVERS)
def solver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_min_norm, "LARGEST_ENUMERATED", request.param)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("family", FAMILIES)
def test_certified_for_up_to_twelve_gradients(family: str, dtype: torch.dtype) -> None:
    for m in range(2, 13):
        g = gradients(family, m, seed=m, dtype=dtype)
        assert excess(g, solve(g)) <= ROUNDING[dtype], f"{m} gradients"


@pytest.mark.parametrize("m", [16, 33], ids=["over-faces", "active-set"])
@pytest.mark.parametrize(
    "family", sorted(FAMILIES.keys() - {"conflicting", "leaning", "orthogonal"})
)  # these need as many dimensions
def test_certified_for_many_gradients(family: str, m: int) -> None:
    g = gradients(family, m)
    assert excess(g, solve(g)) <= ROUNDING[torch.float64]


@pytest.mark.parametrize("dtype", ROUNDING)
def test_few_calls_whatever_the_number_of_gradients(dtype: torch.dtype) -> None:
    for m in range(1, 17):
        calls = count(lambda m=m: min_norm_weights(on_meta(m, m, dtype=dtype))).calls.total()
        assert calls <= 100


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gramians_rounding_is_the_only_one(family: str) -> None:
    """What is float32 in it is taken as exact, to the last bit."""
    for m in (2, 3, 5, 9):
        g = gradients(family, m, dtype=torch.float32)
        gramian = g @ g.T
        assert torch.equal(min_norm_weights(gramian), min_norm_weights(gramian.double()).float())


def test_both_solvers_find_the_same_point(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (
        "generic",
        "conflicting",
        "leaning",
        "orthogonal",
        "aligned",
        "one-zero",
        "duplicate",
    ):
        for m in range(3, 9):
            g = gradients(family, m, seed=m)
            monkeypatch.setattr(_min_norm, "LARGEST_ENUMERATED", 16)
            over_faces = solve(g) @ g
            monkeypatch.setattr(_min_norm, "LARGEST_ENUMERATED", 2)
            assert (solve(g) @ g - over_faces).norm() <= 1e-13 * g.norm(dim=1).amax()


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("m", range(1, 13))
def test_orthogonal_gradients_weigh_in_by_their_inverse_squares(m: int) -> None:
    lengths = torch.logspace(0, 4, m, dtype=torch.float64)
    expected = lengths**-2 / (lengths**-2).sum()
    assert torch.allclose(solve(torch.diag(lengths)), expected, rtol=1e-12, atol=0)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("exponent", range(0, 9, 2))
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 2), (2, 1, 0)])
def test_opposite_gradients_cancel_however_far_apart(exponent: int, order: tuple[int, ...]) -> None:
    far = 10.0**exponent
    g = torch.tensor([[far, 0.0], [-1.0, 0.0], [3.0 * far, far]], dtype=torch.float64)[list(order)]
    assert (solve(g) @ g).norm() <= 1e-14  # of terms of length 1


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("share", [1e-6, 1e-8, 1e-10])
def test_a_small_share_is_not_lost(share: float) -> None:
    """Lengths that differ by share^2 cannot be told apart; the certificate can."""
    g = torch.tensor(
        [[1.0, 0.0, 0.0], [1.0 - share, 1.0, 0.0], [2.0, 0.0, 1.0]], dtype=torch.float64
    )
    assert torch.allclose(solve(g)[1], torch.tensor(share, dtype=torch.float64), rtol=1e-4, atol=0)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("m", range(1, 13))
def test_zero_gradients_take_no_part(m: int) -> None:
    g = gradients("generic", m, seed=m)
    for zeros in range(1, m):
        masked = torch.cat([torch.zeros_like(g[:zeros]), g[zeros:]])
        weights = solve(masked)
        assert (weights[:zeros] == 0).all()
        assert torch.allclose(weights[zeros:], solve(g[zeros:]), rtol=1e-10, atol=1e-12)
    assert torch.equal(solve(torch.zeros_like(g)), torch.full((m,), 1 / m, dtype=torch.float64))


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_common_factor_changes_nothing(family: str) -> None:
    for m in (2, 3, 6):
        g = gradients(family, m)
        for exponent in (-200, -33, 33, 200):
            assert torch.equal(solve(g * 2.0**exponent), solve(g))


@pytest.mark.usefixtures("solver")
def test_gradients_that_tie_up_to_rounding() -> None:
    g = torch.tensor([[-2.1e-7, 1], [-8e-9, 1], [2, 2], [2, -1], [-2, 1], [1, -2]])
    assert excess(g, solve(g)) <= ROUNDING[torch.float32]


@pytest.mark.usefixtures("solver")
def test_systems_stay_regular_where_long_gradients_cancel() -> None:
    """Duplicates, opposites and lengths 2^26 apart, all at once: systems that are singular but for
    rounding.
    """
    generator = torch.Generator().manual_seed(0)
    for m in [*range(3, 10)] * 6:
        g = torch.randint(-2, 3, (m, 4), generator=generator).double()
        g = g * 2.0 ** (26 * torch.randint(0, 2, (m, 1), generator=generator))
        g = g[torch.randint(m, (m,), generator=generator)] * torch.randint(
            -1, 2, (m, 1), generator=generator
        )
        assert excess(g, solve(g)) <= ROUNDING[torch.float64]
