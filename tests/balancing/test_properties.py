"""Properties that the combined gradient of an encoder has, whatever the geometry of its objectives.

Tolerances are in units of the rounding error, m * eps * sum_i |w_i g_i|, of the combination h =
sum_i w_i g_i of m gradients: it stays this large where h itself loses its length to cancellation.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import mmpareto as mp
from families import FAMILIES, SHAPES, gradients, step
from slow_step import min_norm

GAMMA = 1.5
NONZERO = sorted(FAMILIES.keys() - {"all-zero"})
METHODS = {
    "mgda": mp.MGDA(),
    "encoder": mp.MMPareto(),
    "tensor": mp.MMPareto(granularity="tensor"),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def on(*families: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Checks a property on these families, in both precisions, for up to ten objectives."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        test = settings(max_examples=8)(
            given(m=st.sampled_from((2, 3, 4, 6, 10)), seed=st.integers(0, 999))(test)
        )
        test = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])(test)
        return pytest.mark.parametrize("family", families)(test)

    return decorate


def combined(g: Tensor, method: mp.Method) -> tuple[Tensor, Tensor]:
    """The combination h of gradients, in float64, and the sum of the lengths of its terms."""
    h, report = step(g, method)
    weights = report["m1"].applied.double().reshape(-1, len(g)).amax(0)
    return h.double(), weights @ g.double().norm(dim=1)


def rounding(g: Tensor) -> float:
    """Relative rounding error of a combination of these gradients."""
    return 2 * len(g) * torch.finfo(g.dtype).eps


def root(dtype: torch.dtype) -> float:
    """Relative length below which a combination is rounding error: that of its square, taken from
    the Gramian.
    """
    return 4 * torch.finfo(dtype).eps ** 0.5


@on(*FAMILIES)
def test_mmpareto_goes_against_no_objective(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    h, size = combined(g, mp.MMPareto())
    assert (g.double() @ h >= -rounding(g) * size * g.double().norm(dim=1)).all()


@on("generic", "aligned", "conflicting", "leaning", "orthogonal", "equal", "duplicate")
def test_mmpareto_descends_on_every_objective(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    h, _ = combined(g, mp.MMPareto())
    assert (g.double() @ h > 0).all()


def common_length(g: Tensor) -> float:
    """Length of the shortest combination, in units of its terms', by another solver: zero where no
    direction is common to all.
    """
    rows = g.double()[g.any(1)].numpy()
    weights = torch.from_numpy(min_norm(rows))
    terms = weights @ torch.from_numpy(rows).norm(dim=1)
    return float((weights @ torch.from_numpy(rows)).norm() / terms)


def is_as_long_as_the_sum(g: Tensor) -> bool:
    h, size = combined(g, mp.MMPareto(GAMMA))
    relative = rounding(g) * (size / h.norm()) ** 2
    return bool(abs(h.norm() / (GAMMA * g.double().sum(0).norm()) - 1) <= relative)


def is_nearly_zero(g: Tensor) -> bool:
    h, _ = combined(g, mp.MMPareto(GAMMA))
    return bool(h.norm() <= root(g.dtype) * GAMMA * len(g) * g.double().norm(dim=1).amax())


@on(
    *("generic", "aligned", "conflicting", "leaning", "orthogonal", "equal"),
    *("duplicate", "one-zero", "far-apart"),
)
def test_mmpareto_is_as_long_as_gamma_times_the_sum(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    assume(common_length(g) > 2 * root(dtype))  # of ten gradients in 13 dimensions, not always
    assert is_as_long_as_the_sum(g)


@on("cancelling", "opposite")
def test_mmpareto_makes_up_no_direction(family: str, dtype: torch.dtype, m: int, seed: int) -> None:
    g = gradients(family, m, seed, dtype)
    assert common_length(g) <= rounding(g)
    assert is_nearly_zero(g)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("granularity", ["encoder", "tensor"])
def test_what_cancels_to_rounding_is_not_stretched(granularity: str, dtype: torch.dtype) -> None:
    """For two, whose weights are exact: the length that is left is rounding error, times gamma."""
    for seed in range(200):
        g = gradients("opposite", 2, seed, dtype)
        h, _ = combined(g, mp.MMPareto(GAMMA, granularity))
        assert h.norm() <= rounding(g) * GAMMA * g.double().norm(dim=1).sum()


@on("rank-deficient")
def test_mmpareto_follows_the_direction_that_few_dimensions_leave(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    """More gradients than dimensions: half of the time none is common to all."""
    g = gradients(family, m, seed, dtype)
    length = common_length(g)
    assume(not rounding(g) < length <= 2 * root(dtype))  # neither can be told there
    assert is_nearly_zero(g) if length <= rounding(g) else is_as_long_as_the_sum(g)


def test_half_of_the_rank_deficient_have_a_common_direction() -> None:
    """Or the test before would prove one half of what it says."""
    lengths = [common_length(gradients("rank-deficient", m, 7 * m)) for m in (2, 3, 4, 6, 10)]
    lengths += [common_length(gradients("rank-deficient", 2, seed)) for seed in range(10)]
    assert 3 <= sum(length > 0.01 for length in lengths) <= len(lengths) - 3


@on("generic", "aligned", "conflicting", "orthogonal", "equal", "duplicate", "one-zero")
def test_each_tensor_is_at_least_as_long_as_its_sum(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    parts = [torch.Size(shape).numel() for shape in SHAPES]
    unstretched, _ = combined(
        g, mp.MGDA() if step(g, mp.MGDA())[1]["m1"].conflict else mp.Uniform()
    )
    h, size = combined(g, mp.MMPareto(GAMMA, granularity="tensor"))
    for got, low, plain in zip(
        h.split(parts), unstretched.split(parts), g.double().sum(0).split(parts), strict=True
    ):
        expected = GAMMA * torch.maximum(low.norm(), plain.norm())
        assert abs(got.norm() - expected) <= 2 * rounding(g) * size**2 / got.norm()


@on("aligned", "leaning", "equal")
def test_without_conflict_mmpareto_is_the_scaled_sum(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    expected, _ = step(g, mp.ScaledUniform(GAMMA))
    for granularity in ("encoder", "tensor"):
        assert torch.equal(step(g, mp.MMPareto(GAMMA, granularity))[0], expected)
    difference = expected.double() - GAMMA * g.double().sum(0)
    assert (difference.abs() <= rounding(g) * GAMMA * g.double().abs().sum(0)).all()


@on("conflicting", "orthogonal", "far-apart")
def test_in_conflict_mmpareto_has_the_min_norm_direction(
    family: str, dtype: torch.dtype, m: int, seed: int
) -> None:
    g = gradients(family, m, seed, dtype)
    h, size = combined(g, mp.MMPareto())
    shortest, report = step(g, mp.MGDA())
    assert report["m1"].conflict or family == "far-apart"
    assume(report["m1"].conflict)
    difference = h / h.norm() - shortest.double() / shortest.double().norm()
    assert difference.norm() <= rounding(g) * size / h.norm()


@on(*FAMILIES)
def test_mgda_is_no_longer_than_the_sum(family: str, dtype: torch.dtype, m: int, seed: int) -> None:
    g = gradients(family, m, seed, dtype)
    h, size = combined(g, mp.MGDA())
    assert h.norm() <= g.double().sum(0).norm() + rounding(g) * size


@every_method
@on(*NONZERO)
def test_order_of_objectives_is_immaterial(
    family: str, dtype: torch.dtype, m: int, seed: int, method: mp.Method
) -> None:
    g = gradients(family, m, seed, dtype)
    h, size = combined(g, method)
    permuted, _ = combined(
        g[torch.randperm(m, generator=torch.Generator().manual_seed(seed))], method
    )
    lost = torch.minimum(
        size / h.norm(), torch.tensor(1 / root(dtype))
    )  # digits of h that cancellation took
    assert size > 0
    assert (permuted - h).norm() <= rounding(g) * size * lost


@every_method
@on("one-zero", "all-zero")
def test_zero_gradients_are_a_defined_case(
    family: str, dtype: torch.dtype, m: int, seed: int, method: mp.Method
) -> None:
    g = gradients(family, m, seed, dtype)
    h, report = step(g, method)
    assert h.isfinite().all()
    assert all(scalar.isfinite() for scalar in report.scalars().values())
    if family == "all-zero":
        assert torch.equal(h, torch.zeros_like(h))
    else:
        without, size = combined(g[g.any(1)], method)
        assert (h - without).norm() <= 2 * rounding(g) * size
