"""What is demanded of every method that `mmpareto.balancing` exports."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import pickle
import re

import pytest
import torch

import mmpareto as mp
from families import FAMILIES, gradients, step
from mmpareto import balancing
from networks import CLASSES, EXPORTED, METHODS, every_exported_method

every_class = pytest.mark.parametrize(
    "cls", [*EXPORTED, balancing.CustomWeighting], ids=lambda cls: cls.__name__
)
every_default = pytest.mark.parametrize("method", [cls() for cls in EXPORTED], ids=repr)

FAVOURING = {
    name
    for name, method in METHODS.items()
    if isinstance(method, mp.LossWeighting) and len(set(method.loss_weights(["joint", "m1"]))) > 1
}
"""Methods that do not treat objectives alike."""
every_family = pytest.mark.parametrize("family", FAMILIES)


def test_the_catalogue_is_not_empty() -> None:
    assert {mp.Joint, mp.Uniform, mp.ScaledUniform, mp.MGDA, mp.MMPareto} <= set(CLASSES)
    assert {type(method) for method in METHODS.values()} == set(CLASSES)


def test_names_are_unique_and_fit_for_the_command_line() -> None:
    names = [cls.name for cls in EXPORTED]
    assert len({*names}) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) for name in names)


@every_class
def test_one_of_two_families(cls: type[mp.Method]) -> None:
    assert issubclass(cls, mp.GradientIntegration) != issubclass(cls, mp.LossWeighting)


@every_class
def test_documented_with_an_example_that_runs(cls: type[mp.Method]) -> None:
    assert re.match(r"[A-Z].*[.:]", cls.__doc__)
    assert "Example:" in cls.__doc__
    examples = doctest.DocTestFinder(recurse=False).find(
        cls, cls.__name__, globs={**vars(balancing), "torch": torch}
    )
    results = [doctest.DocTestRunner().run(example) for example in examples]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


@every_default
def test_frozen_value_object(method: mp.Method) -> None:
    assert dataclasses.is_dataclass(method)
    assert method.__dataclass_params__.frozen
    assert type(method)() == method
    assert hash(type(method)()) == hash(method)
    for twin in (
        pickle.loads(pickle.dumps(method)),
        copy.deepcopy(method),
        eval(repr(method), vars(balancing)),
    ):
        assert twin == method
        assert type(twin) is type(method)


@every_exported_method
def test_survives_pickling(method: mp.Method) -> None:
    g = gradients("conflicting", 3)
    assert torch.equal(step(g, pickle.loads(pickle.dumps(method)))[0], step(g, method)[0])


@pytest.mark.parametrize("name", sorted(METHODS.keys() - FAVOURING))
@every_family
@pytest.mark.parametrize("m", [2, 3, 9])
def test_permuting_objectives_changes_nothing(name: str, family: str, m: int) -> None:
    g = gradients(family, m)
    h, report = step(g, METHODS[name])
    permuted, _ = step(g.flip(0), METHODS[name])
    weights = report["m1"].applied.reshape(-1, m).amax(0)
    # Where objectives cancel, only half of the digits of the direction are left to agree on.
    digits = 1e-7 if family in ("rank-deficient", "cancelling", "opposite") else 1e-13
    assert (permuted - h).norm() <= digits * (weights.abs() @ g.norm(dim=1))


@every_exported_method
@every_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [2.0**-33, 2.0**33])
def test_degree_one_homogeneous(
    method: mp.Method, family: str, dtype: torch.dtype, factor: float
) -> None:
    for m in (2, 3, 9):
        g = gradients(family, m, dtype=dtype)
        assert torch.equal(step(g, method, factor=factor)[0], factor * step(g, method)[0])


@every_exported_method
@pytest.mark.parametrize("m", [1, 2, 3, 9])
def test_zero_gradients_give_a_zero_step(method: mp.Method, m: int) -> None:
    h, report = step(gradients("all-zero", m), method)
    assert torch.equal(h, torch.zeros_like(h))
    assert all(scalar.isfinite() for scalar in report.scalars().values())


@every_exported_method
@pytest.mark.parametrize("m", [1, 2, 3, 9])
def test_weights_keep_precision_and_leave_the_gramian_alone(method: mp.Method, m: int) -> None:
    for dtype in (torch.float32, torch.float64):
        encoder = step(gradients("conflicting", max(m, 2), dtype=dtype)[:m], method)[1]["m1"]
        assert encoder.applied.dtype == encoder.gramian.dtype == dtype
        if isinstance(method, mp.GradientIntegration):
            gramians = encoder.gramian[None].clone()
            method.weights(gramians)
            assert torch.equal(gramians[0], encoder.gramian)
