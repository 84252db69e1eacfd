"""Any model, any losses: the step is that of the slow one."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mmpareto as mp
from loop_cases import CASES, NAMES, Fusion, fusion, normal
from slow_step import COMPARED, apart, expected, received

TOLERANCE = 1e-10  # float64, times what conflicts cancel

compared = pytest.mark.parametrize("method", COMPARED, ids=str)


@compared
@pytest.mark.parametrize("name", CASES)
def test_step_is_the_slow_one(name: str, method: mp.Method) -> None:
    case, conflicts = CASES[name](), []
    for seed in range(4):
        losses = case.losses(seed)
        want = expected(losses, case.model.parameters(), case.encoders, method)
        case.model.zero_grad()
        report = mp.backward(losses, case.encoders, method)
        assert apart(received(case.model.parameters()), want) <= TOLERANCE
        conflicts += [bool(encoder.conflict) for encoder in report.values()]
    assert any(conflicts)


@pytest.mark.parametrize(
    ("name", "objectives"),
    [
        ("3 modalities", 2),
        ("dense interaction of 3", 4),
        ("contrastive", 3),
        ("trunk", 2),
        ("tasks on a trunk", 1),
    ],
)
def test_all_objectives_that_reach_an_encoder_take_part(name: str, objectives: int) -> None:
    case = CASES[name]()
    report = mp.backward(case.losses(0), case.encoders, mp.MMPareto())
    assert len(report["m0"].objectives) == objectives
    assert "trunk" not in report or report["trunk"].objectives == tuple(case.losses(0))


def test_weights_tied_to_a_head_belong_to_the_encoder() -> None:
    case = CASES["weights tied to a head"]()
    partition = mp.Partition(case.model, **case.encoders)
    tied = case.model.heads["m0"].weight
    assert any(tied is parameter for parameter in partition["m0"])
    assert all(tied is not parameter for parameter in partition.rest)


def test_weights_tied_between_encoders_are_refused() -> None:
    case = fusion(2)
    first, second = case.encoders.values()
    second[2].weight = first[2].weight
    with pytest.raises(mp.MMParetoError, match=r"disjoint. Found .* in both 'm0' and 'm1'"):
        mp.backward(case.losses(0), case.encoders, mp.MMPareto())
    shared, rest = (
        [first[2].weight],
        [
            [p for p in encoder.parameters() if p is not first[2].weight]
            for encoder in (first, second)
        ],
    )
    for encoders in (
        dict(zip(NAMES, rest, strict=False)),
        {"m0": first, "m1": rest[1]},
        {"m0": rest[0], "m1": rest[1], "both": shared},
    ):
        losses = case.losses(0)
        want = expected(losses, case.model.parameters(), encoders, mp.MMPareto())
        case.model.zero_grad()
        mp.backward(losses, encoders, mp.MMPareto())
        assert apart(received(case.model.parameters()), want) <= TOLERANCE


@compared
@pytest.mark.parametrize("dense", [False, True], ids=["late", "dense"])
def test_any_subset_of_modalities(dense: bool, method: mp.Method) -> None:
    model = Fusion(3, dense=dense)
    subsets = [
        names for size in (1, 2, 3) for names in itertools.combinations(model.encoders, size)
    ]
    for seed, names in enumerate(subsets):
        torch.manual_seed(seed)
        scores, labels = model({name: normal(6, 3) for name in names}), torch.randint(3, (6,))
        losses = {name: F.cross_entropy(x, labels) for name, x in scores.items()}
        want = expected(losses, model.parameters(), model.encoders, method)
        model.zero_grad()
        report = mp.backward(losses, model.encoders, method)
        assert apart(received(model.parameters()), want) <= TOLERANCE, names
        assert sorted(report) == sorted(names)
        assert all(
            (model.encoders[name][0].weight.grad is None) == (name not in names)
            for name in model.encoders
        )


def masked(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean over the samples that have the modality; zero, with a graph, where none has."""
    return (F.cross_entropy(scores, labels, reduction="none") * mask).sum() / mask.sum().clamp(
        min=1
    )


@compared
@pytest.mark.parametrize("samples", [0, 1, 3, 6])
def test_modality_missing_in_some_samples(samples: int, method: mp.Method) -> None:
    model, mask = Fusion(2), torch.arange(6) < samples
    for seed in range(3):
        torch.manual_seed(seed)
        features = {name: encoder(normal(6, 3)) for name, encoder in model.encoders.items()}
        features["m1"] = features["m1"] * mask[:, None]
        labels = torch.randint(3, (6,))
        losses = {
            "joint": F.cross_entropy(model.joint(torch.cat(list(features.values()), 1)), labels),
            "m0": F.cross_entropy(model.heads["m0"](features["m0"]), labels),
            "m1": masked(model.heads["m1"](features["m1"]), labels, mask),
        }
        want = expected(losses, model.parameters(), model.encoders, method)
        model.zero_grad()
        report = mp.backward(losses, model.encoders, method)
        assert apart(received(model.parameters()), want) <= TOLERANCE
        assert bool(report["m1"].norms["m1"] > 0) == (samples > 0)
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@compared
def test_masked_objective_leaves_the_others_direction(method: mp.Method) -> None:
    """Where the mask is all false the encoder follows the joint loss alone, at the method's
    factor.
    """
    encoder, head = nn.Linear(3, 2).double(), nn.Linear(2, 3).double()
    torch.manual_seed(0)
    scores, labels = head(encoder(normal(6, 3))), torch.randint(3, (6,))
    losses = {
        "joint": F.cross_entropy(scores, labels),
        "m0": masked(scores, labels, torch.zeros(6)),
    }
    (joint,) = torch.autograd.grad(losses["joint"], encoder.weight, retain_graph=True)
    mp.backward(losses, {"m0": encoder}, method)
    assert torch.allclose(encoder.weight.grad, getattr(method, "gamma", 1.0) * joint, rtol=1e-12)
