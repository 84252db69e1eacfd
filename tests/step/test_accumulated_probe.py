"""Geometry measured on a probe over micro-batches."""

from __future__ import annotations

import pytest
import torch

import mmpareto as mp
from networks import LateFusion


@pytest.mark.parametrize("frozen", [False, True], ids=["passed by", "frozen"])
def test_objectives_that_pass_the_probe_by_are_refused(frozen: bool) -> None:
    """Such an objective would count as a zero gradient, and train the encoder no more."""
    model = LateFusion("audio", "visual")
    bottom, middle, top = model.encoders["audio"]
    top.requires_grad_(not frozen)
    geometry = mp.Geometry(probe={"audio": top})
    accumulation = mp.Accumulation(model.partition, mp.MGDA(), geometry=geometry)
    batch = model.batch()
    losses = model.losses(batch)
    if not frozen:
        losses["audio"] = middle(bottom(batch["audio"])).square().mean()
    accumulation.add(losses)
    with pytest.raises(mp.MMParetoError, match="Probe of 'audio' should be reached by every"):
        accumulation.backward()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weights_are_of_the_whole_step_on_the_probe() -> None:
    model = LateFusion("audio", "visual")
    probe = model.encoders["audio"][2]
    method, geometry = mp.MMPareto(), mp.Geometry(probe={"audio": probe})
    accumulation = mp.Accumulation(model.partition, method, geometry=geometry)
    sums = dict.fromkeys(("joint", "audio"), 0.0)
    for seed in (0, 6):
        accumulation.add(model.losses(model.batch(seed)))
        losses = model.losses(model.batch(seed))
        for name in sums:
            gradients = torch.autograd.grad(
                losses[name], list(probe.parameters()), retain_graph=True
            )
            sums[name] = sums[name] + torch.cat([gradient.flatten() for gradient in gradients])
    report = accumulation.backward()["audio"]
    vectors = torch.stack(list(sums.values()))
    torch.testing.assert_close(report.gramian, vectors @ vectors.T)
    torch.testing.assert_close(report.applied, method.weights((vectors @ vectors.T)[None]))
