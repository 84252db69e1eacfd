"""Which parameters an encoder has, and which assignments are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
from torch import nn

import mmpareto as mp
from networks import LateFusion


@pytest.fixture
def model() -> LateFusion:
    return LateFusion("audio", "visual")


def test_mapping_from_modality_to_parameters(model: LateFusion) -> None:
    encoders = mp.Partition(model, **model.encoders)
    assert isinstance(encoders, Mapping)
    assert [*encoders] == ["audio", "visual"]
    assert len(encoders) == 2
    for modality, encoder in model.encoders.items():
        assert all(a is b for a, b in zip(encoders[modality], encoder.parameters(), strict=True))
    assert repr(encoders) == "Partition(audio=64, visual=58)"


def test_module_list_and_iterator_say_the_same(model: LateFusion) -> None:
    encoder = model.encoders["audio"]
    for given in (encoder, [*encoder.parameters()], encoder.parameters(), {*encoder.parameters()}):
        assert {*mp.Partition(model, audio=given)["audio"]} == {*encoder.parameters()}


def test_a_parameter_listed_twice_counts_once(model: LateFusion) -> None:
    weight = model.encoders["audio"][0].weight
    assert len(mp.Partition(model, audio=[weight, weight])["audio"]) == 1


def test_names_need_not_be_identifiers(model: LateFusion) -> None:
    assert [*mp.Partition(model, **{"left-eye": model.encoders["visual"]})] == ["left-eye"]
    assert [*mp.Partition(model=model.encoders["audio"], self=model.encoders["visual"])] == [
        "model",
        "self",
    ]


def test_without_a_model_any_parameters_do() -> None:
    assert len(mp.Partition(audio=nn.Linear(2, 2))["audio"]) == 2


def consumed(model: LateFusion) -> object:
    parameters = model.encoders["audio"].parameters()
    list(parameters)
    return parameters


ENCODERS: dict[str, tuple[Callable[[LateFusion], dict[str, object]], tuple[str, ...]]] = {
    "none": (lambda model: {}, ("`encoders` should name at least one modality", "Found none")),
    "overlapping": (
        lambda model: {"audio": model, "visual": model.encoders["visual"]},
        ("`encoders` should be disjoint", "both 'audio' and 'visual'", "shape (6, 4)", "plain sum"),
    ),
    "empty": (
        lambda model: {"audio": nn.Tanh()},
        ("Encoder 'audio'", "at least one parameter", "Found none"),
    ),
    "consumed": (lambda model: {"audio": consumed(model)}, ("Encoder 'audio'", "already consumed")),
    "named joint": (
        lambda model: {"joint": model},
        ("`encoders` should be keyed by modality", "'joint'"),
    ),
    "outside": (
        lambda model: {"audio": copy.deepcopy(model.encoders["audio"])},
        ("Encoder 'audio' should be a part of `model`", "4 of its 4", "not of a copy"),
    ),
    "non-leaf": (
        lambda model: {"audio": [2 * model.joint[0].weight]},
        ("Encoder 'audio'", "leaf tensors", "a computed tensor"),
    ),
    "not a tensor": (
        lambda model: {"audio": ["weight"]},
        ("Encoder 'audio'", "leaf tensors", "Found str"),
    ),
    "one tensor": (
        lambda model: {"audio": model.joint[0].weight},
        ("Encoder 'audio'", "a module", "Found Parameter"),
    ),
    "number": (
        lambda model: {"audio": 3},
        ("Encoder 'audio'", "a module or an iterable of parameters", "Found int"),
    ),
}


@pytest.mark.parametrize(("encoders", "fragments"), ENCODERS.values(), ids=ENCODERS)
def test_refused_with_a_reason(
    model: LateFusion,
    encoders: Callable[[LateFusion], dict[str, object]],
    fragments: tuple[str, ...],
) -> None:
    with pytest.raises(mp.MMParetoError) as caught:
        mp.Partition(model, **encoders(model))
    message = str(caught.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message


def test_a_partition_of_a_copy_is_refused_by_the_step() -> None:
    """It would get nothing, and the model plain sums, without a word."""
    model = LateFusion("audio", "visual")
    copied = copy.deepcopy(model)
    with pytest.raises(
        mp.MMParetoError, match=r"partition of the model that the losses come from.*copy\.deepcopy"
    ):
        mp.backward(model.losses(model.batch()), copied.partition, mp.MMPareto())
    assert all(parameter.grad is None for parameter in model.parameters())
