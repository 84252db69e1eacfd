"""How re-implementations of MMPareto go wrong, one test each.

What goes wrong across ranks (products of one rank's gradients) is tested where the ranks are.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mmpareto as mp
from networks import LateFusion, every_method, plain_gradients, with_and_without_geometry


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def test_gradients_are_not_accumulated_over_losses_before_they_are_compared(
    model: LateFusion,
) -> None:
    """Copies of one running ``.grad`` become equal: cosine 1, and the conflict branch is dead."""
    cosines, conflicts = [], []
    for seed in range(20):
        model.zero_grad()
        report = mp.backward(model.losses(model.batch(seed)), model.partition, mp.MMPareto())
        cosines += [float(encoder.cosine) for encoder in report.values()]
        conflicts += [bool(encoder.conflict) for encoder in report.values()]
    assert max(cosines) < 0.99
    assert 0 < sum(conflicts) < len(conflicts)


def test_what_is_in_grad_beforehand_is_no_part_of_the_geometry(model: LateFusion) -> None:
    clean = mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    again = mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())
    for name, encoder in clean.items():
        assert torch.equal(encoder.gramian, again[name].gramian)
        assert torch.equal(encoder.applied, again[name].applied)


@every_method
@with_and_without_geometry
def test_unimodal_heads_are_trained(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert all(parameter.grad.any() for parameter in model.heads.parameters())


@every_method
@with_and_without_geometry
@pytest.mark.parametrize("modalities", [("audio", "visual"), ("audio", "visual", "text")], ids=len)
def test_shared_parameters_collect_from_every_modality(
    modalities: tuple[str, ...], method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """A projection applied to every modality's features gets all of their gradients, not the last
    one's.
    """
    model, shared = LateFusion(*modalities), nn.Linear(4, 4).double()
    batch = model.batch()
    features = {name: shared(feature) for name, feature in model.features(batch).items()}
    losses = {
        name: nn.functional.cross_entropy(model.heads[name](f), batch["label"])
        for name, f in features.items()
    }
    losses["joint"] = nn.functional.cross_entropy(
        model.joint(torch.cat([*features.values()], 1)), batch["label"]
    )
    expected = plain_gradients(shared, *losses.values())
    mp.backward(losses, model.partition, method, geometry=geometry)
    assert torch.allclose(shared.weight.grad, expected["weight"], rtol=1e-12)


@every_method
@with_and_without_geometry
def test_gradients_of_micro_batches_accumulate(
    model: LateFusion, method: mp.Method, geometry: mp.Geometry | None
) -> None:
    """A ``zero_grad`` inside the step would leave the last micro-batch only."""
    total = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for seed in range(3):
        model.zero_grad()
        mp.backward(model.losses(model.batch(seed)), model.partition, method, geometry=geometry)
        for name, parameter in model.named_parameters():
            total[name] += parameter.grad
    model.zero_grad()
    for seed in range(3):
        mp.backward(model.losses(model.batch(seed)), model.partition, method, geometry=geometry)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, total[name], rtol=1e-12, atol=1e-14), name


@with_and_without_geometry
@pytest.mark.parametrize("scale", [2.0**16, 2.0**-16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_method
def test_a_loss_scalers_factor_passes_through(
    method: mp.Method, dtype: torch.dtype, scale: float, geometry: mp.Geometry | None
) -> None:
    """Exactly: dividing by the factor gives the unscaled step, bit for bit."""
    model = LateFusion("audio", "visual", dtype=dtype)
    for seed in range(4):
        model.zero_grad()
        mp.backward(model.losses(model.batch(seed)), model.partition, method, geometry=geometry)
        expected = [scale * parameter.grad for parameter in model.parameters()]
        model.zero_grad()
        losses = {name: scale * loss for name, loss in model.losses(model.batch(seed)).items()}
        mp.backward(losses, model.partition, method, geometry=geometry)
        assert all(
            torch.equal(p.grad, grad) for p, grad in zip(model.parameters(), expected, strict=True)
        )
