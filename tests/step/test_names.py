"""Losses under a name that is probably a slip are refused; all others are taken as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import LateFusion

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture
def model() -> LateFusion:
    model = LateFusion("audio", "visual")
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    return model


def renamed(**names: str) -> Change:
    return lambda losses: {names.get(name, name): loss for name, loss in losses.items()}


SLIPS: dict[str, tuple[Change, str, str]] = {
    "letters swapped": (renamed(audio="audoi"), "audio", "audoi"),
    "a letter missing": (renamed(visual="visul"), "visual", "visul"),
    "a letter too many": (renamed(audio="audio1"), "audio", "audio1"),
    "capital": (renamed(audio="Audio"), "audio", "Audio"),
    "another word": (renamed(audio="sound"), "audio", "sound"),
    "a suffix": (renamed(visual="visual_loss"), "visual", "visual_loss"),
    "fusion": (renamed(joint="fusion"), "joint", "fusion"),
    "multimodal": (renamed(joint="multimodal"), "joint", "multimodal"),
    "Total": (renamed(joint="Total"), "joint", "Total"),
    "joined up": (renamed(joint="jiont"), "joint", "jiont"),
}


@pytest.mark.parametrize(("change", "meant", "found"), SLIPS.values(), ids=SLIPS)
@pytest.mark.parametrize("sides", ["own", "joint"])
def test_slips_are_refused(
    model: LateFusion, sides: str, change: Change, meant: str, found: str
) -> None:
    losses = change(model.losses(model.batch()))
    text = f"`losses` should have the key '{meant}'. Found '{found}', .* Name it '{meant}'"
    geometry = mp.Geometry(sides=sides)
    accumulation = mp.Accumulation(model.partition, mp.MMPareto(), geometry=geometry)
    balanced = mp.BalancedLoss(model.partition, mp.MMPareto(), geometry=geometry)
    calls: list[Callable[[], object]] = [
        lambda: mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry),
        lambda: mp.backward(losses, model.partition, mp.Uniform(), geometry=None),
        lambda: accumulation.add(losses),
        lambda: balanced(losses).backward(),
    ]
    for call in calls:
        with pytest.raises(mp.MMParetoError, match=text):
            call()
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


@pytest.mark.parametrize(("slip", "meant"), [("audoi", "audio"), ("visual2", "visual")])
def test_slips_are_refused_where_every_loss_reaches_every_encoder(slip: str, meant: str) -> None:
    """By their letters alone: none reaches one encoder alone."""
    encoders = {name: nn.Linear(3, 4) for name in ("audio", "visual")}
    features = {name: encoder(torch.ones(2, 3)) for name, encoder in encoders.items()}
    total = sum(features.values())
    losses = {name: (total * feature).mean() for name, feature in features.items()}
    losses["joint"] = total.square().mean()
    losses = {slip if name == meant else name: loss for name, loss in losses.items()}
    with pytest.raises(mp.MMParetoError, match=f"key '{meant}'. Found '{slip}', which has nearly"):
        mp.backward(losses, encoders, mp.MMPareto())


@pytest.mark.parametrize(("change", "meant", "found"), SLIPS.values(), ids=SLIPS)
def test_the_remedy_helps(model: LateFusion, change: Change, meant: str, found: str) -> None:
    losses = change(model.losses(model.batch()))
    geometry = mp.Geometry(sides="all")
    report = mp.backward(losses, model.partition, mp.MMPareto(), geometry=geometry)
    assert any(found in encoder.objectives for encoder in report.values())


def with_extra(*across: str, alone: str = "") -> Change:
    """Further losses, of both modalities or of the audio alone."""

    def change(losses: dict[str, Tensor]) -> dict[str, Tensor]:
        extra = dict.fromkeys(across, losses["audio"] * losses["visual"])
        return losses | extra | ({alone: losses["audio"].square()} if alone else {})

    return change


def without(*names: str) -> Change:
    return lambda losses: {name: loss for name, loss in losses.items() if name not in names}


TAKEN: dict[str, Change] = {
    "as they should be": lambda losses: losses,
    "an extra loss of both": with_extra("alignment"),
    "an extra loss with the name of a fusion": with_extra("fusion", "total"),
    "an extra loss beside an own one": with_extra(alone="audio_regularizer"),
    "an extra loss of a similar name": with_extra(alone="audios"),
    "without one modality's loss": without("visual"),
    "without unimodal losses": without("audio", "visual"),
    "without the joint loss": without("joint"),
    "a modality that is missing": without("joint", "visual"),
    "the joint loss alone": without("audio", "visual"),
    "an extra loss, one modality missing": lambda losses: without("joint", "visual")(
        with_extra(alone="emotion")(losses)
    ),
}


@pytest.mark.parametrize("change", TAKEN.values(), ids=TAKEN)
def test_other_names_are_taken(model: LateFusion, change: Change) -> None:
    losses = change(model.losses(model.batch()))
    report = mp.backward(losses, model.partition, mp.MMPareto())
    assert {name for encoder in report.values() for name in encoder.objectives} == set(losses)


@pytest.mark.parametrize("encoder", ["trunk", "encoder", "backbone"])
@pytest.mark.parametrize("tasks", [("depth",), ("depth", "normals"), ("main", "fusion", "total")])
def test_tasks_on_a_trunk_are_taken(tasks: tuple[str, ...], encoder: str) -> None:
    trunk, heads = nn.Linear(3, 4), {task: nn.Linear(4, 1) for task in tasks}
    feature = trunk(torch.ones(2, 3)).tanh()
    losses = {task: head(feature).square().mean() for task, head in heads.items()}
    report = mp.backward(losses, {encoder: trunk}, mp.MMPareto())
    assert report[encoder].objectives == tasks


def test_tasks_on_a_trunk_of_two_stems_are_taken() -> None:
    """Each stem and the trunk are encoders, and no task is one modality's own."""
    stems = {name: nn.Linear(3, 4) for name in ("left", "right")}
    trunk, heads = nn.Linear(4, 4), {task: nn.Linear(4, 1) for task in ("depth", "normals")}
    feature = trunk(sum(stem(torch.ones(2, 3)) for stem in stems.values())).tanh()
    losses = {task: head(feature).square().mean() for task, head in heads.items()}
    report = mp.backward(losses, {**stems, "trunk": trunk}, mp.MMPareto())
    assert all(encoder.objectives == ("depth", "normals") for encoder in report.values())


def test_a_loss_that_reaches_an_encoder_alone_is_taken_for_its_own(model: LateFusion) -> None:
    losses = renamed(audio="emotion")(model.losses(model.batch()))
    with pytest.raises(mp.MMParetoError, match="Found 'emotion', which reaches one encoder alone"):
        mp.backward(losses, model.partition, mp.MMPareto())
    assert all((parameter.grad == 7).all() for parameter in model.parameters())
