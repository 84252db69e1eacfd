"""Every contender makes a training step of every kind of model, and those that claim the same do
the same.
"""

from __future__ import annotations

import pytest
import torch
from benchmarks.cases import CASES, FULL, ON_GPU, QUICK, TINY
from benchmarks.contenders import CONTENDERS, PLAIN, UNIFORM, Contender, sgd
from benchmarks.memory import peak_in_fresh_process
from torch import Tensor

BY_NAME = {contender.name: contender for contender in CONTENDERS}


def test_names_are_distinct() -> None:
    assert len(BY_NAME) == len(CONTENDERS)
    assert len(CASES) == len({*FULL, *QUICK, *ON_GPU, *TINY})
    for cases in (FULL, ON_GPU):
        assert len({case.name for case in cases.values()}) == len(cases)


def trained(
    contender: Contender, case: str, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    model = TINY[case].model().to(dtype)
    batch = {
        name: v.to(dtype) if v.is_floating_point() else v for name, v in TINY[case].batch().items()
    }
    step = contender.step(model, sgd(model, lr=0.01))
    for _ in range(2):
        step(batch)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("case", TINY)
@pytest.mark.parametrize("name", BY_NAME)
def test_a_step_changes_every_parameter(name: str, case: str) -> None:
    before = dict(TINY[case].model().named_parameters())
    for parameter, after in trained(BY_NAME[name], case).items():
        assert after.isfinite().all(), parameter
        assert not torch.equal(after, before[parameter]), parameter


@pytest.mark.parametrize("case", TINY)
@pytest.mark.parametrize(
    ("one", "other"), [(PLAIN, UNIFORM), ("MMPareto, per tensor", "authors' recipe")]
)
def test_the_same_step(one: str, other: str, case: str) -> None:
    results = [trained(BY_NAME[name], case, torch.float64) for name in (one, other)]
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", TINY)
def test_torchjd_solves_the_same_problem(case: str) -> None:
    """It gives the mean where this library gives the sum of as many objectives; the heads receive
    the plain sum.
    """
    model = TINY[case].model().double()
    batch = {
        name: v.double() if v.is_floating_point() else v for name, v in TINY[case].batch().items()
    }
    gradients = []
    for name in ("MGDA", "TorchJD MGDA"):
        model.zero_grad()
        BY_NAME[name].make(model)(model.losses(batch))
        gradients.append({parameter: p.grad for parameter, p in model.named_parameters()})
    for parameter, gradient in gradients[0].items():
        factor = 2 if parameter.startswith("encoders") else 1
        torch.testing.assert_close(factor * gradients[1][parameter], gradient, rtol=1e-5, atol=1e-7)


def test_top_blocks_belong_to_their_encoders() -> None:
    for case in TINY.values():
        model = case.model()
        for name, block in model.top_blocks.items():
            inside, top = set(model.encoders[name].parameters()), set(block.parameters())
            assert top
            assert top < inside


def test_memory_is_counted_to_the_byte() -> None:
    """Weights, momentum, a gradient and the batch are alive at once, at the least."""
    model, batch = TINY["tiny-mlp"].model(), TINY["tiny-mlp"].batch()
    least = 3 * sum(p.nbytes for p in model.parameters()) + sum(
        values.nbytes for values in batch.values()
    )
    peaks = [peak_in_fresh_process("tiny-mlp", name) for name in (PLAIN, PLAIN, "authors' recipe")]
    assert least < peaks[0] == peaks[1] < peaks[2] < 10 * least
