"""Objectives of weight zero are measured, and take no part; what is summed is released on the
way.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mmpareto as mp
from mmpareto.diagnostics import GeometryLog
from mmpareto.gradients import add
from networks import with_and_without_geometry


@with_and_without_geometry
def test_an_encoder_that_joint_does_not_reach_receives_nothing_from_it(
    geometry: mp.Geometry | None,
) -> None:
    ear, eye = nn.Linear(3, 2), nn.Linear(3, 2)
    losses = {"joint": eye(torch.ones(3)).sum(), "audio": ear(torch.ones(3)).sum()}
    mp.backward(losses, {"audio": ear, "visual": eye}, mp.Joint(), geometry=geometry)
    assert ear.weight.grad is None
    assert eye.weight.grad is not None


def test_a_running_sum_releases_what_it_adds() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    total: dict[torch.Tensor, torch.Tensor] = {}
    for weight in (1.0, 2.0):
        gradients: dict[torch.Tensor, torch.Tensor | None] = {first: torch.ones(2), second: None}
        add(total, gradients, weight)
        assert gradients == {}
    assert total.keys() == {first}
    assert total[first].tolist() == [3.0, 3.0]


def test_joint_without_geometry_frees_its_graph() -> None:
    ear = nn.Linear(3, 2)
    joint, audio = ear(torch.ones(3)).square().sum(), ear(torch.ones(3)).square().sum()
    mp.backward({"joint": joint, "audio": audio}, {"audio": ear}, mp.Joint(), geometry=None)
    with pytest.raises(RuntimeError, match="second time"):
        joint.backward()


def test_the_log_tells_of_the_sides_where_others_reach_the_encoder_too() -> None:
    ear, eye = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    directions = {"joint": [1.0, 0.0], "audio": [3.0, 4.0], "visual": [-3.0, 0.0]}
    losses = {
        name: (torch.tensor(direction) * ear).sum() + eye.sum()
        for name, direction in directions.items()
    }
    report = mp.backward(losses, {"audio": [ear], "visual": [eye]}, mp.MMPareto())
    assert report["audio"].cosine == pytest.approx(-0.6, rel=1e-6)
    log = GeometryLog()
    log.record(7, report)
    row = next(row for row in log.rows() if row.modality == "audio")
    assert (row.step, row.conflict, row.norm_joint, row.norm_unimodal) == (7, True, 1.0, 5.0)
    assert row.cosine == pytest.approx(-0.6, rel=1e-6)


def test_names_of_encoders_are_text() -> None:
    with pytest.raises(
        mp.MMParetoError, match=r"`encoders` should be keyed by modality names\. Found 1"
    ):
        mp.backward({}, {1: nn.Linear(1, 1)}, mp.MMPareto())  # type: ignore[dict-item]


def test_a_module_dict_is_a_mapping_of_encoders() -> None:
    encoders = nn.ModuleDict({"audio": nn.Linear(3, 2), "visual": nn.Linear(3, 2)})
    loss = sum(encoder(torch.ones(3)).sum() for encoder in encoders.values())
    assert list(mp.backward({"joint": loss}, encoders, mp.MMPareto())) == ["audio", "visual"]


def test_gamma_is_a_number() -> None:
    with pytest.raises(
        mp.MMParetoError, match=r"`gamma` should be positive and finite\. Found True"
    ):
        mp.MMPareto(gamma=True)
