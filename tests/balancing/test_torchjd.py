"""TorchJD's weightings by name: equal to the built-in ones where they agree, or refused."""

from __future__ import annotations

import pickle
import sys

import pytest
import torch

import mmpareto as mp
from families import gradients, step
from mmpareto.balancing import TorchJD
from mmpareto.balancing._torchjd import _load
from mmpareto.training._known_classes import known_classes

pytest.importorskip("torchjd.aggregation", reason="TorchJD is an optional source of weightings")


@pytest.mark.parametrize(
    ("name", "method", "tolerance"),
    [
        ("upgrad", mp.UPGrad(), 3e-3),  # it adds 1e-4 to the diagonal
        ("dualproj", mp.DualProj(), 3e-3),
        ("alignedmtl", mp.AlignedMTL(), 1e-9),
        ("imtlg", mp.IMTLG(), 1e-6),
        ("mean", mp.Uniform(), 1e-12),
    ],
)
@pytest.mark.parametrize("m", [2, 3, 5])
def test_built_in_methods_are_what_it_states(
    name: str, method: mp.Method, tolerance: float, m: int
) -> None:
    """Up to the number of objectives: it takes the mean of losses where these take the sum."""
    for seed in range(5):
        g = gradients("generic", m, seed)
        theirs, _ = step(g, TorchJD(name))
        ours, _ = step(g, method)
        assert (m * theirs - ours).norm() <= tolerance * (ours.norm() + g.norm())


def test_pcgrad_of_two_is_its_and_of_more_the_mean_of_its_draws() -> None:
    from torchjd.aggregation import PCGradWeighting

    g = gradients("conflicting", 2)
    assert torch.allclose(PCGradWeighting()(g @ g.T), mp.PCGrad().weights((g @ g.T)[None]))
    g, theirs = gradients("generic", 5, seed=1), PCGradWeighting()
    torch.manual_seed(0)
    draws = torch.stack([theirs(g @ g.T) for _ in range(600)])
    error = draws.std(0) / 600**0.5
    assert error.max() > 0
    assert ((draws.mean(0) - mp.PCGrad().weights((g @ g.T)[None])).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("name", ["upgrad", "dualproj", "alignedmtl", "imtlg", "mgda", "mean"])
@pytest.mark.parametrize("factor", [2.0**-33, 2.0**33])
def test_lengths_of_gradients_do_not_meet_its_absolute_tolerances(name: str, factor: float) -> None:
    for dtype in (torch.float32, torch.float64):
        g = gradients("conflicting", 3, dtype=dtype)
        scaled, plain = step(g, TorchJD(name), factor=factor)[0], step(g, TorchJD(name))[0]
        assert torch.equal(scaled, factor * plain)
        assert scaled.dtype == dtype


def test_is_a_value_that_has_the_name_of_the_command_line() -> None:
    method = TorchJD("upgrad")
    assert method.name == "torchjd:upgrad"
    twin = pickle.loads(pickle.dumps(method))
    assert (twin, twin.name) == (method, method.name)
    # A stored training may name it; a wrapper of any function is none that data can state.
    known = known_classes(mp.Method)
    assert known["mmpareto.balancing.TorchJD"] is TorchJD
    assert "mmpareto.balancing.CustomWeighting" not in known
    zeros = step(gradients("all-zero", 3), method)[0]
    assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pcgrad", "draws random numbers"),
        ("random", "draws random numbers"),
        ("gradvac", "remembers earlier steps"),
        ("crmogm", "remembers earlier steps"),
        ("cagrad", "needs the argument `c`"),
        ("krum", "needs the argument `n_byzantine`"),
        ("nonsense", "should be one of alignedmtl, "),
    ],
)
def test_what_is_no_function_of_the_gramian_is_refused(name: str, reason: str) -> None:
    with pytest.raises(mp.MMParetoError, match=reason):
        TorchJD(name)


def test_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    _load.cache_clear()
    with pytest.raises(mp.MMParetoError, match=r"pip install 'mmpareto\[torchjd\]'"):
        TorchJD("upgrad")
