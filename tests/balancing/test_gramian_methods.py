"""The multi-task family: cases computed by hand, literal references, limits, hostile geometries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

import mmpareto as mp
from families import FAMILIES, gradients, step
from mmpareto import balancing
from networks import LateFusion, plain_gradients
from reference import gramian_methods as slow

METHODS: dict[str, tuple[mp.GradientIntegration, Callable[..., np.ndarray]]] = {
    "pcgrad": (balancing.PCGrad(), slow.pcgrad),
    "cagrad": (balancing.CAGrad(), slow.cagrad),
    "cagrad-0.9": (balancing.CAGrad(0.9), partial(slow.cagrad, c=0.9)),
    "imtl-g": (balancing.IMTLG(), slow.imtlg),
    "nash-mtl": (balancing.NashMTL(), slow.nash_mtl),
    "aligned-min": (balancing.AlignedMTL(), slow.aligned_mtl),
    "aligned-rmse": (balancing.AlignedMTL("rmse"), partial(slow.aligned_mtl, scale="rmse")),
    "upgrad": (balancing.UPGrad(), slow.upgrad),
    "dualproj": (balancing.DualProj(), slow.dualproj),
    "conflict-free": (balancing.ConFIG(), slow.conflict_free),
}
PRECISION = {"cagrad": 3e-6, "cagrad-0.9": 3e-6, "nash-mtl": 1e-8}  # of their references' solvers
# No weights of these are negative, and no step goes against an objective.
AGAINST_NONE = (balancing.UPGrad(), balancing.DualProj())

every_name = pytest.mark.parametrize("name", METHODS)
every_method = pytest.mark.parametrize(
    "method", [method for method, _ in METHODS.values()], ids=METHODS
)
CASE = torch.tensor([[[1.0, -0.5], [-0.5, 2.0]]], dtype=torch.float64)


def combined(method: mp.GradientIntegration, g: Tensor) -> Tensor:
    weights = method.weights((g @ g.T)[None])
    assert weights.isfinite().all()
    return weights.double() @ g.double()


@pytest.mark.parametrize(
    ("method", "mean", "expected"),
    [
        (mp.MGDA(), True, (0.625, 0.375)),
        (balancing.PCGrad(), False, (1.5, 1.25)),
        (balancing.IMTLG(), True, (0.5857864, 0.4142136)),
        (balancing.AlignedMTL("min"), True, (0.5414865, 0.3998427)),
        (balancing.AlignedMTL("rmse"), True, (0.7447764, 0.5499554)),
        (balancing.UPGrad(), True, (0.75, 0.625)),
        (balancing.DualProj(), True, (0.5, 0.5)),
        (balancing.CAGrad(0.5), True, (0.8612278, 0.5167366)),
        (balancing.ConFIG(), False, (1.2071068, 0.8535534)),
        (mp.MMPareto(1.5), False, (2.0044593, 1.2026756)),
    ],
    ids=repr,
)
def test_case_by_hand(
    method: mp.GradientIntegration, mean: bool, expected: tuple[float, float]
) -> None:
    """`mean` where the paper's weights are of the mean loss; the library's are of the sum."""
    weights = method.weights(CASE) / (2 if mean else 1)
    assert np.abs(weights.numpy() - expected).max() <= 1e-7


def test_nash_by_hand() -> None:
    """Whose paper gives the step the length of sqrt(m)."""
    weights = balancing.NashMTL().weights(CASE)
    scaled = weights * (2 / (weights @ CASE[0] @ weights)).sqrt()
    assert np.abs(scaled.numpy() - (1.2437517, 0.8794652)).max() <= 1e-7
    assert torch.allclose(CASE[0] @ scaled, 1 / scaled, rtol=1e-14)


@every_name
@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_is_its_papers(name: str, m: int) -> None:
    method, reference = METHODS[name]
    for seed in range(6):
        for family in ("generic", "conflicting", "leaning"):
            g = gradients(family, m, seed)
            expected = reference(g.numpy())
            size = np.linalg.norm(expected) + float(g.norm(dim=1).mean())
            h = combined(method, g).numpy()
            assert np.linalg.norm(h - expected) <= PRECISION.get(name, 1e-10) * size
            rounded = combined(method, g.float()).numpy()
            assert np.linalg.norm(rounded - expected) <= 5e-3 * size


@every_name
def test_is_its_papers_over_twenty_steps(name: str) -> None:
    method, reference = METHODS[name]
    model = LateFusion("audio", "visual")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(20):
        losses = model.losses(model.batch(seed=number))
        expected = {}
        for modality, encoder in model.encoders.items():
            rows = []
            for objective in ("joint", modality):
                found = plain_gradients(model, losses[objective])
                parts = dict(encoder.named_parameters(prefix=f"encoders.{modality}"))
                rows.append(torch.cat([found[part].flatten() for part in parts]))
            expected[modality] = reference(torch.stack(rows).numpy())
        optimizer.zero_grad()
        mp.backward(losses, model.partition, method)
        for modality, encoder in model.encoders.items():
            h = torch.cat([p.grad.flatten() for p in encoder.parameters()]).numpy()
            error = np.linalg.norm(h - expected[modality])
            assert error <= 10 * PRECISION.get(name, 1e-11) * np.linalg.norm(h)
        optimizer.step()


@pytest.mark.parametrize("c", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("m", [2, 3, 5, 8, 11])
def test_cagrad_is_certified(c: float, m: int) -> None:
    """A bound from the dual problem, which no direction exceeds, is met."""
    for family in ("generic", "conflicting", "leaning", "rank-deficient", "one-zero", "duplicate"):
        for seed in range(3):
            g = gradients(family, m, seed)
            g = g[g.any(1)]
            total, radius = g.sum(0), c * g.sum(0).norm()
            weights = balancing.CAGrad(c).weights((g @ g.T)[None])
            added = weights - 1
            assert (added >= -1e-12).all()
            assert (added @ g).norm() <= radius * (1 + 1e-9) + 1e-12
            if added.sum() > 1e-9:
                share = added / added.sum()
                bound = share @ g @ total + radius * (share @ g).norm()
                assert bound - (g @ (weights @ g)).amin() <= 1e-9 * total.norm() * g.norm()


@every_method
def test_orthogonal_gradients_of_one_length_are_added(method: mp.GradientIntegration) -> None:
    for m in (1, 2, 3, 5, 9):
        weights = method.weights(3 * torch.eye(m, dtype=torch.float64)[None])
        expected = torch.ones(m, dtype=torch.float64)
        if isinstance(method, balancing.CAGrad):  # whose step is longer by c
            expected = expected * (1 + method.c)
        assert torch.allclose(weights, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "method", [balancing.PCGrad(), *AGAINST_NONE, balancing.CAGrad(0)], ids=repr
)
def test_gradients_that_agree_are_added(method: mp.GradientIntegration) -> None:
    for m in (2, 3, 5, 9):
        g = gradients("aligned", m)
        assert torch.allclose(combined(method, g), g.sum(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("one", "other"), [("upgrad", "pcgrad"), ("nash-mtl", "imtl-g"), ("conflict-free", "imtl-g")]
)
def test_some_go_one_way_for_two_sides(one: str, other: str) -> None:
    """Which a reader of a comparison must know, and docs/methods.md says."""
    cosines: dict[int, list[float]] = {2: [], 5: []}
    for m, found in cosines.items():
        for seed in range(6):
            g = gradients("generic", m, seed)
            left, right = combined(METHODS[one][0], g), combined(METHODS[other][0], g)
            found.append(float(left @ right / left.norm() / right.norm()))
            if m == 2 and one != "conflict-free":
                assert torch.allclose(left, right, rtol=1e-10, atol=1e-12)
    assert min(cosines[2]) > 1 - 1e-12
    if one != "conflict-free":  # which differs in length, and in nothing else
        assert min(cosines[5]) < 1 - 1e-6


@pytest.mark.parametrize("method", AGAINST_NONE, ids=repr)
@pytest.mark.parametrize("family", FAMILIES)
def test_projections_go_against_none(method: mp.GradientIntegration, family: str) -> None:
    for m in (2, 3, 5, 10):
        g = gradients(family, m, seed=m)
        weights = method.weights((g @ g.T)[None])
        assert (weights >= 1).all()
        lengths = g.norm(dim=1)
        assert (g @ (weights @ g) >= -1e-13 * (weights @ lengths) * lengths).all()


@pytest.mark.parametrize("family", ["generic", "conflicting", "leaning", "orthogonal"])
def test_config_is_at_one_angle_to_all_independent_gradients(family: str) -> None:
    for m in (2, 3, 5, 9):
        g = gradients(family, m)
        products = g / g.norm(dim=1, keepdim=True) @ combined(balancing.ConFIG(), g)
        assert torch.allclose(products, products.mean().expand(m), rtol=1e-8)
        assert products.mean() > 0


@every_method
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_common_factor_scales_the_step(
    method: mp.GradientIntegration, family: str, dtype: torch.dtype
) -> None:
    """Products of gradients that are no powers of 2 round differently: half of the digits may go
    where gradients are all but dependent.
    """
    for m in (2, 3):
        g = gradients(family, m, dtype=dtype)
        h = combined(method, g)
        for factor in (1e-10, 1e10):
            scaled = combined(method, g * factor) / factor
            weights = method.weights((g @ g.T)[None]).double().abs()
            size = weights @ g.double().norm(dim=1)
            assert (scaled - h).norm() <= 8 * torch.finfo(dtype).eps ** 0.5 * size


@every_method
@pytest.mark.parametrize("m", [2, 3, 5])
def test_a_zero_gradient_takes_no_part(method: mp.GradientIntegration, m: int) -> None:
    for seed in range(4):
        g = gradients("one-zero", m, seed)
        h, without = combined(method, g), combined(method, g[g.any(1)])
        assert (h - without).norm() <= 1e-10 * g.norm()


@every_method
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_on_every_geometry(
    method: mp.GradientIntegration, family: str, dtype: torch.dtype
) -> None:
    for m in (1, 2, 3, 4, 6, 9, 10):
        for seed in range(2):
            g = (
                gradients(family, m, seed, dtype)
                if m > 1
                else gradients(family, 2, seed, dtype)[:1]
            )
            h, _ = step(g, method)
            assert h.isfinite().all()


@every_method
def test_no_random_number_is_drawn(method: mp.GradientIntegration) -> None:
    """Processes draw different ones, and so would weigh differently."""
    gramians = (lambda g: (g @ g.T)[None])(gradients("conflicting", 4))
    state = torch.get_rng_state()
    weights = method.weights(gramians)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(method.weights(gramians), weights)


def _pcgrad_on_projected(g: np.ndarray) -> np.ndarray:
    projected = g.copy()
    for i in range(len(g)):
        for j in range(len(g)):
            if j != i and projected[i] @ projected[j] < 0:
                along = projected[i] @ projected[j] / (projected[j] @ projected[j])
                projected[i] -= along * projected[j]
    return projected.sum(0)


def _pcgrad_in_order_of_index(g: np.ndarray) -> np.ndarray:
    projected = g.copy()
    for i in range(len(g)):
        for j in range(len(g)):
            if j != i and projected[i] @ g[j] < 0:
                projected[i] -= projected[i] @ g[j] / (g[j] @ g[j]) * g[j]
    return projected.sum(0)


def _cagrad_around_zero(g: np.ndarray) -> np.ndarray:
    """Without the dual problem's first term: the min-norm direction is added."""
    weights = mp.MGDA().weights(torch.from_numpy(g @ g.T)[None]).numpy()
    shortest, total = weights @ g, g.sum(0)
    return total + 0.5 * np.linalg.norm(total) * shortest / np.linalg.norm(shortest)


def _aligned_by_the_largest(g: np.ndarray) -> np.ndarray:
    left, sigma, right = np.linalg.svd(g, full_matrices=False)
    return sigma.max() * np.ones(len(g)) @ left @ right


def _imtlg_on_lengths_alone(g: np.ndarray) -> np.ndarray:
    alpha = 1 / np.linalg.norm(g, axis=1)
    return len(g) * alpha / alpha.sum() @ g


def _config_as_the_sum_of_units(g: np.ndarray) -> np.ndarray:
    direction = (g / np.linalg.norm(g, axis=1, keepdims=True)).sum(0)
    direction /= np.linalg.norm(direction)
    return (g @ direction).sum() * direction


def _nash_of_unit_gradients(g: np.ndarray) -> np.ndarray:
    return slow.nash_mtl(g / np.linalg.norm(g, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pcgrad", _pcgrad_on_projected),
        ("pcgrad", _pcgrad_in_order_of_index),
        ("cagrad", _cagrad_around_zero),
        ("aligned-min", _aligned_by_the_largest),
        ("imtl-g", _imtlg_on_lengths_alone),
        ("conflict-free", _config_as_the_sum_of_units),
        ("nash-mtl", _nash_of_unit_gradients),
        ("upgrad", slow.dualproj),
        ("dualproj", slow.upgrad),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_"),
)
def test_wrong_versions_are_told_apart(
    name: str, wrong: Callable[[np.ndarray], np.ndarray]
) -> None:
    """By far more than the tolerance of the comparison with the reference."""
    distances = []
    for seed in range(6):
        g = gradients("generic", 4, seed)
        h = combined(METHODS[name][0], g).numpy()
        distances.append(np.linalg.norm(h - wrong(g.numpy())) / np.linalg.norm(h))
    assert max(distances) > 0.01


def test_settings_out_of_range_are_refused() -> None:
    for c in (-0.1, 1.0, float("nan"), True, "half"):
        with pytest.raises(mp.MMParetoError, match="`c` should be at least 0 and below 1"):
            balancing.CAGrad(c)
    with pytest.raises(mp.MMParetoError, match=r"`scale` should be one of .*'rmse'.* Found 'max'"):
        balancing.AlignedMTL("max")
