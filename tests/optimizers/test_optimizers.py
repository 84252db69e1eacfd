"""Optimizers by name and by path, and how learning rates change."""

from __future__ import annotations

import math

import pytest
import torch

from mmpareto import optimizers
from mmpareto._catalogue import catalogue
from mmpareto.errors import MMParetoError
from mmpareto.optimizers import SGD, AdamW, Optimizer, Schedule, TorchOptimizer


def test_the_catalogue_names_them() -> None:
    assert catalogue(optimizers, Optimizer) == {"adamw": AdamW, "sgd": SGD, "torch": TorchOptimizer}


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.5, 0.01), AdamW(0.1, 0.2, (0.5, 0.9), 1e-3)])
def test_settings_are_torchs(optimizer: SGD | AdamW) -> None:
    made = optimizer.make([{"params": [torch.zeros(1)]}])
    assert type(made) is getattr(torch.optim, type(optimizer).__name__)
    for name, value in vars(optimizer).items():
        assert made.defaults[name] == value


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("torch.optim.LBFGS", {}, r"`optimizer\.path` .* Found 'torch\.optim\.LBFGS'"),
        ("torch.optim.Nothing", {}, r"`optimizer\.path`"),
        ("torch.optim.lr_scheduler", {}, r"`optimizer\.path`"),
        ("torch.optim.Optimizer", {}, r"`optimizer\.path`"),
        ("subprocess.Popen", {}, r"`optimizer\.path` .* Found 'subprocess\.Popen'"),
        ("RAdam", {}, r"`optimizer\.path`"),
        ("torch.optim.RAdam", {"speed": 1.0}, r"`optimizer\.settings` .*RAdam\. Found: .*speed"),
        ("torch.optim.RAdam", {"lr": -1.0}, r"`optimizer\.settings` .* Found: Invalid learning"),
    ],
)
def test_what_is_no_such_optimizer_is_refused(
    path: str, settings: dict[str, optimizers._torch_optimizer.Setting], message: str
) -> None:
    with pytest.raises(MMParetoError, match=message):
        TorchOptimizer(path, settings)


@pytest.mark.parametrize("name", ["lr", "weight_decay", "eps"])
def test_senseless_settings_are_refused(name: str) -> None:
    with pytest.raises(MMParetoError, match=rf"`optimizer\.{name}` should be finite and not neg"):
        AdamW(**{name: -1.0})


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "linear"])
def test_a_rate_rises_first_and_does_not_rise_again(kind: str) -> None:
    schedule = Schedule(kind, warmup=1.5, every=2, factor=0.5)  # type: ignore[arg-type]
    factors = [schedule.factor_at(step, epoch=4, total=24) for step in range(24)]
    assert factors[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    after = factors[5:]
    assert after == sorted(after, reverse=True)
    assert min(factors) > 0
    slow = {
        "constant": 1.0,
        "step": 0.5,
        "cosine": (1 + math.cos(math.pi * 9 / 18)) / 2,
        "linear": 0.5,
    }
    assert factors[15] == pytest.approx(slow[kind])  # in the middle of what comes after the rise


def test_without_settings_a_rate_never_changes() -> None:
    assert not Schedule().changes
    assert Schedule(warmup=0.1).changes
    assert Schedule("step").changes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "wave"}, r"`schedule\.kind` should be constant, .* Found 'wave'"),
        ({"warmup": -1}, r"`schedule\.warmup` should be finite and at least 0\. Found -1"),
        ({"every": 0}, r"`schedule\.every` should be finite and at least 1\. Found 0"),
        ({"factor": math.nan}, r"`schedule\.factor` should be finite"),
    ],
)
def test_senseless_schedules_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        Schedule(**settings)  # type: ignore[arg-type]
