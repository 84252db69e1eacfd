"""Which parameters an encoder has, and which assignments are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

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


# Parameters that came after the partition was made.


def assign(model: LateFusion) -> None:
    audio = model.encoders["audio"]
    state = {name: value.clone() for name, value in audio.state_dict().items()}
    audio.load_state_dict(state, assign=True)


def remake(model: LateFusion) -> None:
    model.encoders["audio"][2] = nn.Linear(6, 4).double()


class Adapted(nn.Module):
    """A frozen layer, and a low-rank change of it that learns."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, 1, bias=False).double()
        self.up = nn.Linear(1, layer.out_features, bias=False).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def inject(model: LateFusion) -> None:
    model.encoders["audio"][0] = Adapted(model.encoders["audio"][0])


def widen_the_head(model: LateFusion) -> None:
    model.joint[2] = nn.Linear(6, 3).double()


CHANGES = {
    "load_state_dict(assign=True)": assign,
    "a layer made anew": remake,
    "an adapter": inject,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("knows_model", [True, False])
def test_a_partition_of_which_a_part_is_stale_is_refused(
    model: LateFusion, knows_model: bool, change: Callable[[LateFusion], None]
) -> None:
    """Else the encoder would be trained by the plain sum, without a word."""
    encoders = dict(model.encoders)
    partition = model.partition if knows_model else mp.Partition(**encoders)
    change(model)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    calls: list[Callable[[], object]] = [
        lambda: mp.backward(model.losses(model.batch()), partition, mp.MMPareto()),
        lambda: mp.backward(model.losses(model.batch()), partition, mp.Uniform(), geometry=None),
        lambda: mp.Accumulation(partition, mp.MMPareto()).add(model.losses(model.batch())),
        lambda: mp.BalancedLoss(partition, mp.MMPareto())(model.losses(model.batch())).backward(),
    ]
    for call in calls:
        with pytest.raises(mp.MMParetoError, match=STALE):
            call()
    assert all((parameter.grad == 7).all() for parameter in model.parameters())
    mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto())  # made again


STALE = r"partition of the model as it is now\. Found the parameter .* Make it again after"


def test_a_head_made_anew_makes_the_models_partition_stale(model: LateFusion) -> None:
    partition = model.partition
    widen_the_head(model)
    with pytest.raises(mp.MMParetoError, match=STALE):
        mp.backward(model.losses(model.batch()), partition, mp.MMPareto())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_does_not_belong_to_the_modules_may_come_later(model: LateFusion) -> None:
    """A head that no partition knows, and parameters that no loss reaches."""
    for partition in (model.partition, mp.Partition(**model.encoders)):
        late = nn.Parameter(torch.ones((), dtype=torch.float64))
        losses = {name: late * loss for name, loss in model.losses(model.batch()).items()}
        mp.backward(losses, partition, mp.MMPareto())
        assert late.grad is not None
    partition = model.partition
    model.encoders["audio"].register_parameter("unused", nn.Parameter(torch.ones(1)))
    mp.backward(model.losses(model.batch()), partition, mp.MMPareto())


def test_repr_of_lazy_modules() -> None:
    """Which have no shapes before their first forward pass."""
    ear, eye = nn.LazyLinear(8), nn.Linear(3, 2)
    partition = mp.Partition(nn.ModuleList([ear, eye]), audio=ear, visual=eye)
    assert repr(partition) == "Partition(audio=not initialized, visual=8)"
    ear(torch.ones(1, 4))
    assert repr(partition) == "Partition(audio=40, visual=8)"
