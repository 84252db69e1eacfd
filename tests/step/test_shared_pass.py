"""Steps that pass most of an encoder once for all objectives: geometry measured at the top, or in
an earlier step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

import mmpareto as mp
from mmpareto.gradients import gramians
from networks import Count, LateFusion

MODALITIES = ("audio", "visual", "text")
CONFLICTING = 6  # seed of a batch


@pytest.fixture
def model() -> LateFusion:
    return LateFusion(*MODALITIES)


def rows(
    model: LateFusion, losses: dict[str, Tensor], parameters: list[Tensor], names: tuple[str, ...]
) -> list:
    return [
        list(
            torch.autograd.grad(losses[name], parameters, retain_graph=True, materialize_grads=True)
        )
        for name in names
    ]


def expected(
    model: LateFusion, batch: dict[str, Tensor], weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients where encoders weight their joint and own objective so, by an autograd pass for
    each.
    """
    losses = model.losses(batch)
    want = {}
    names, parameters = zip(*model.named_parameters(), strict=True)
    per_objective = {
        objective: torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for objective, loss in losses.items()
    }
    for i, name in enumerate(names):
        modality = name.split(".")[1] if name.startswith("encoders.") else None
        factors = (
            dict(zip(("joint", modality), weights[modality], strict=True))
            if modality
            else dict.fromkeys(losses, 1.0)
        )
        parts = [
            factors[o] * g[i] for o, g in per_objective.items() if o in factors and g[i] is not None
        ]
        want[name] = sum(parts)
    return want


def assert_close(model: LateFusion, want: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, want[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("probed", [("audio", "visual", "text"), ("audio",)], ids=len)
def test_weights_are_those_of_the_probe(
    model: LateFusion, seed: int, probed: tuple[str, ...]
) -> None:
    geometry = mp.Geometry(probe={name: model.encoders[name][2] for name in probed})
    batch = model.batch(seed)
    weights = {}
    for name, encoder in model.encoders.items():
        measured = encoder[2] if name in probed else encoder
        pair = rows(model, model.losses(batch), list(measured.parameters()), ("joint", name))
        weights[name] = mp.MMPareto().weights(gramians(pair))
    report = mp.backward(model.losses(batch), model.partition, mp.MMPareto(), geometry=geometry)
    assert_close(model, expected(model, batch, weights))
    for name in MODALITIES:
        torch.testing.assert_close(report[name].applied, weights[name], rtol=1e-12, atol=0)


def test_probes_meet_conflicts(model: LateFusion) -> None:
    """Or the test before would prove little."""
    geometry = mp.Geometry(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    reports = [
        mp.backward(
            model.losses(model.batch(seed)), model.partition, mp.MMPareto(), geometry=geometry
        )
        for seed in range(8)
    ]
    conflicts = sum(int(encoder.conflict) for report in reports for encoder in report.values())
    assert 3 < conflicts < 21


@pytest.mark.parametrize("probe", [False, True], ids=["exact", "probe"])
def test_steps_between_weight_as_the_last_measured_one(model: LateFusion, probe: bool) -> None:
    top = {name: encoder[2] for name, encoder in model.encoders.items()} if probe else None
    geometry, encoders = mp.Geometry(every=3, probe=top), model.partition
    for step in range(7):
        model.zero_grad()
        report = mp.backward(
            model.losses(model.batch(step)), encoders, mp.MMPareto(), geometry=geometry
        )
        assert len(report) == (3 if step % 3 == 0 else 0)
        if step % 3 == 0:
            weights = {name: encoder.applied for name, encoder in report.items()}
        else:
            assert_close(model, expected(model, model.batch(step), weights))


def test_another_set_of_objectives_is_measured_at_once(model: LateFusion) -> None:
    geometry, encoders = mp.Geometry(every=10), model.partition
    for step, missing in enumerate([None, None, "text", "text", None, None]):
        losses = model.losses(model.batch(step))
        losses.pop(missing, None)
        report = mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry)
        assert len(report) == (3 if step in (0, 2, 4) else 0)


class Counted(nn.Module):
    """Counts passes between the layers."""

    def __init__(self, encoder: nn.Sequential, passes: Counter[str]) -> None:
        super().__init__()
        self.first, self.second, self.third = encoder
        self.passes = passes

    def forward(self, x: Tensor) -> Tensor:
        below = Count.apply(self.first(x), self.passes, "below")
        return Count.apply(self.third(self.second(below)), self.passes, "top")


@pytest.mark.parametrize(
    ("probe", "every", "first", "second"),
    [
        (False, 2, {"below": 2, "top": 2}, {"below": 1, "top": 1}),
        (True, 1, {"below": 1, "top": 2}, {"below": 1, "top": 2}),
    ],
)
def test_passes(probe: bool, every: int, first: dict[str, int], second: dict[str, int]) -> None:
    model, passes = LateFusion("audio"), Counter()
    model.encoders["audio"] = Counted(model.encoders["audio"], passes)
    geometry = mp.Geometry(
        every=every, probe={"audio": model.encoders["audio"].third} if probe else None
    )
    encoders = model.partition
    for want in (first, second):
        passes.clear()
        mp.backward(model.losses(model.batch()), encoders, mp.MMPareto(), geometry=geometry)
        assert passes == want


class Dense(LateFusion):
    """Each feature is modulated by the first layer of the next modality."""

    def features(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        hidden = {name: encoder[:2](batch[name]) for name, encoder in self.encoders.items()}
        mixed = dict(
            zip(hidden, [*list(hidden.values())[1:], next(iter(hidden.values()))], strict=True)
        )
        return {
            name: encoder[2](hidden[name] + mixed[name]) for name, encoder in self.encoders.items()
        }


def test_modalities_that_meet_below_are_passed_for_each_objective() -> None:
    model = Dense("audio", "visual")
    encoders, geometry = model.partition, mp.Geometry(every=3)
    report = mp.backward(model.losses(model.batch()), encoders, mp.MMPareto(), geometry=geometry)
    model.zero_grad()
    losses = model.losses(model.batch(1))
    assert not mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry, retain_graph=True)
    for name, encoder in model.encoders.items():
        parameters = list(encoder.parameters())
        per_objective = rows(model, losses, parameters, report[name].objectives)
        for place, parameter in enumerate(parameters):
            column = [row[place] for row in per_objective]
            want = sum(w * g for w, g in zip(report[name].applied, column, strict=True))
            torch.testing.assert_close(parameter.grad, want, rtol=1e-12, atol=1e-14)


def test_objectives_that_pass_the_probe_by_are_refused() -> None:
    model = Dense("audio", "visual")
    geometry = mp.Geometry(probe={name: encoder[2] for name, encoder in model.encoders.items()})
    with pytest.raises(
        mp.MMParetoError, match=r"Probe of 'audio' .* Found 'visual', which passes it by"
    ):
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(), geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"every": 0}, r"`every` should be a whole number, at least 1\. Found 0"),
        ({"every": 1.5}, r"`every` should be a whole number, at least 1\. Found 1\.5"),
        ({"every": True}, r"`every` should be a whole number, at least 1\. Found True"),
        ({"sides": "two"}, r"`sides` should be one of \('own', 'all', 'joint'\)\. Found 'two'"),
        ({"probe": [1]}, r"`encoders` should be a Partition or a mapping"),
    ],
    ids=str,
)
def test_settings(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(mp.MMParetoError, match=expected):
        mp.Geometry(**settings)


@pytest.mark.parametrize(
    ("probed", "expected"),
    [
        ("touch", r"`probe` should name encoders, i\.e\. 'audio', .* Found 'touch'"),
        ("audio", r"Probe of 'audio' should be a part of its encoder\. Found 4 of its 4"),
    ],
)
def test_probes(model: LateFusion, probed: str, expected: str) -> None:
    geometry = mp.Geometry(probe={probed: model.joint})
    with pytest.raises(mp.MMParetoError, match=expected):
        mp.backward(model.losses(model.batch()), model.partition, mp.MMPareto(), geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tensors_by_themselves_cannot_share_a_pass(model: LateFusion) -> None:
    method = mp.MMPareto(granularity="tensor")
    for geometry in (mp.Geometry(every=2), mp.Geometry(probe={"audio": model.encoders["audio"]})):
        with pytest.raises(mp.MMParetoError, match=r"`granularity` should be 'encoder' where one"):
            mp.backward(model.losses(model.batch()), model.partition, method, geometry=geometry)
    assert all(parameter.grad is None for parameter in model.parameters())


# Losses that leave an encoder at several depths.


def encoder_layers() -> tuple[nn.Module, nn.Module, nn.ModuleDict]:
    torch.manual_seed(0)
    low = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).double()
    high = nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double()
    heads = nn.ModuleDict({"joint": nn.Linear(6, 1), "audio": nn.Linear(3, 1)}).double()
    return low, high, heads


def two_depths(
    low: nn.Module, high: nn.Module, heads: nn.ModuleDict, seed: int, kind: str
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    bottom = low(torch.randn(8, 4, generator=generator, dtype=torch.float64))
    top = high(bottom)
    own = top - 1 if kind == "a loss on the features" else heads["audio"](top)
    joint = heads["joint"](torch.cat([bottom, top], 1))
    return {"joint": joint.square().mean(), "audio": own.square().mean()}


@pytest.mark.parametrize("kind", ["a skip into the joint head", "a loss on the features"])
@pytest.mark.parametrize("setting", ["every", "probe", "every and probe"])
def test_losses_that_leave_an_encoder_at_two_depths(kind: str, setting: str) -> None:
    """What passes both exits is counted once."""
    low, high, heads = encoder_layers()
    encoder = nn.ModuleList([low, high])
    partition = mp.Partition(nn.ModuleList([encoder, heads]), audio=encoder)
    geometry = mp.Geometry(
        every=3 if "every" in setting else 1, probe={"audio": high} if "probe" in setting else None
    )
    assert_passes(
        encoder,
        lambda seed: two_depths(low, high, heads, seed, kind),
        lambda losses: mp.backward(
            losses, partition, mp.MMPareto(), geometry=geometry, retain_graph=True
        ),
    )


def assert_passes(
    encoder: nn.Module,
    losses: Callable[[int], dict[str, Tensor]],
    step: Callable[[dict[str, Tensor]], mp.StepReport],
    name: str = "audio",
) -> None:
    """Three steps give the weighted sums of the objectives' gradients, by a pass for each."""
    weights: dict[str, Tensor] = {}
    parameters = list(encoder.parameters())
    for seed in range(3):
        for parameter in parameters:
            parameter.grad = None
        objectives = losses(seed)
        report = step(objectives)
        weights = report[name].weights if report else weights
        want = [torch.zeros_like(parameter) for parameter in parameters]
        for objective, weight in weights.items():
            gradients = torch.autograd.grad(
                objectives[objective], parameters, retain_graph=True, materialize_grads=True
            )
            want = [w + weight * g for w, g in zip(want, gradients, strict=True)]
        for parameter, gradient in zip(parameters, want, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-15)


class Pyramid(nn.Module):
    """The encoder of a U-Net: its decoder reads all three depths."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(channels, 2, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
        self.three = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.one(x)
        second = self.two(first)
        return first, second, self.three(second)


class Decoder(nn.Module):
    def __init__(self, branches: int) -> None:
        super().__init__()
        self.up, self.out = nn.Conv2d(8 * branches, 4, 1), nn.Conv2d(4 + 2 * branches, 3, 1)

    def forward(self, *pyramids: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        tops = [interpolate(pyramid[2], scale_factor=2) for pyramid in pyramids]
        tops += [pyramid[1] for pyramid in pyramids]
        middle = interpolate(self.up(torch.cat(tops, 1)).relu(), scale_factor=2)
        return self.out(torch.cat([middle, *(pyramid[0] for pyramid in pyramids)], 1))


@pytest.mark.parametrize("setting", ["every", "probe", "every and probe"])
def test_a_u_net_with_a_branch_per_modality(setting: str) -> None:
    torch.manual_seed(0)
    encoders = nn.ModuleDict({"rgb": Pyramid(3), "depth": Pyramid(1)}).double()
    decoders = nn.ModuleDict({"joint": Decoder(2), "rgb": Decoder(1), "depth": Decoder(1)})
    decoders.double()
    partition = mp.Partition(nn.ModuleList([encoders, decoders]), **encoders)
    probe = {name: encoder.three for name, encoder in encoders.items()}
    geometry = mp.Geometry(
        every=3 if "every" in setting else 1, probe=probe if "probe" in setting else None
    )

    def losses(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        images = {name: torch.randn(2, c, 8, 8).double() for name, c in (("rgb", 3), ("depth", 1))}
        made = {name: encoder(images[name]) for name, encoder in encoders.items()}
        target = torch.randint(3, (2, 8, 8))
        logits = {"joint": decoders["joint"](*made.values())}
        logits |= {name: decoders[name](made[name]) for name in made}
        return {name: cross_entropy(scores, target) for name, scores in logits.items()}

    for name, encoder in encoders.items():
        geometry.load_state_dict(mp.Geometry(every=geometry.every).state_dict())
        assert_passes(
            encoder,
            losses,
            lambda objectives: mp.backward(
                objectives, partition, mp.MMPareto(), geometry=geometry, retain_graph=True
            ),
            name,
        )
