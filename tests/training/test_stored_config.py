"""What the file of a configuration may say, and what it is refused with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml

from mmpareto import recipes
from mmpareto.balancing import CustomWeighting, ScaledUniform, Uniform
from mmpareto.data import CGMNIST
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.optimizers import Schedule
from mmpareto.training import SGD, describe, load_config, save_config
from mmpareto.training._config_file import identity
from mmpareto.training._schema import restore
from mmpareto.training.run import run

CONFIG = recipes.cg_digits()
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch RAN", "shell": True}}
MODULE = {
    "class_path": "torch.nn.Transformer",
    "init_args": {"d_model": 4, "nhead": 2, "activation": "relu", "custom_encoder": POPEN},
}


@dataclass(frozen=True)
class Mine(Uniform):
    """A method that the tests have imported."""

    name = "mine"
    strength: float = 1.0


def changed(tmp_path: Path, **settings: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**describe(CONFIG), **settings}))
    return path


@pytest.mark.parametrize(
    "settings",
    [
        {"method": {"class_path": "mmpareto.balancing.MMPareto", "init_args": {"probe": MODULE}}},
        {
            "method": {
                "class_path": "mmpareto.balancing.MMPareto",
                "init_args": {"probe": {"gray": MODULE}},
            }
        },
        {
            "method": {
                "class_path": "mmpareto.balancing.MMPareto",
                "init_args": {
                    "probe": {"class_path": "mmpareto.Partition", "init_args": {"model": MODULE}}
                },
            }
        },
        {"method": POPEN},
        {"method": {"class_path": "mmpareto.balancing.Uniform", "dict_kwargs": {"x": POPEN}}},
        {"method": {"class_path": "mmpareto.balancing.CustomWeighting", "init_args": {}}},
        {"model": {"class_path": "mmpareto.balancing.Uniform"}},
        {"optimizer": POPEN},
        {"optimizer": "subprocess.Popen"},
        {"modalities": [POPEN]},
        {"config": "other.yaml"},
        {"method.init_args.gamma": 2.0},
    ],
)
def test_objects_are_refused_unmade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MMParetoError, match=r"config\.yaml.* should be "):
        load_config(changed(tmp_path, **settings))
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_module_beside_the_file_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helper_beside.py").write_text("open('RAN', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MMParetoError, match=r"Found 'helper_beside\.X'.*--trust"):
        load_config(changed(tmp_path, method={"class_path": "helper_beside.X"}))
    assert "helper_beside" not in sys.modules
    assert not (tmp_path / "RAN").exists()


def test_a_class_that_was_imported_is_known(tmp_path: Path) -> None:
    config = replace(CONFIG, method=Mine(strength=2.0))
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_names_stand_for_classes(tmp_path: Path) -> None:
    config = load_config(changed(tmp_path, method="uniform", model="late-fusion"))
    assert (config.method, config.model) == (Uniform(), LateFusionCNN())


@pytest.mark.parametrize(
    ("annotation", "value", "restored"),
    [
        (bool, True, True),
        (float, 2, 2.0),
        (float, "1e-3", 0.001),
        (float | None, None, None),
        (Path | str | None, "a/b", Path("a/b")),
        (Literal["a", "b"], "b", "b"),
        (tuple[int, int], [1, 2], (1, 2)),
        (tuple[str, ...] | None, ["x"], ("x",)),
        (dict[str, list[str]], {"a": ["b"]}, {"a": ["b"]}),
        (SGD, {"lr": 0.5}, SGD(lr=0.5)),
    ],
)
def test_plain_values_become_settings(annotation: Any, value: Any, restored: Any) -> None:
    found = restore(annotation, value, "it")
    assert found == restored
    assert type(found) is type(restored)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "it should be a whole number. Found True"),
        (int, 1.0, "it should be a whole number. Found 1.0"),
        (int, "1", "it should be a whole number. Found '1'"),
        (bool, 1, "it should be true or false. Found 1"),
        (float, "fast", "it should be a number. Found 'fast'"),
        (float, 10**400, "it should be a number"),
        (str, 3, "it should be a text. Found 3"),
        (Path, "a\0b", "it should be a path"),
        (Literal["a", "b"], "c", "it should be one of a, b. Found 'c'"),
        (Literal[1, 2], True, "it should be one of 1, 2. Found True"),
        (tuple[int, int], [1], r"it should be a list of 2 values. Found \[1\]"),
        (list[int], "ab", "it should be a list. Found 'ab'"),
        (dict[str, int], [1], "it should be a mapping"),
        (dict[str, int], {1: 1}, "it should be a text. Found 1"),
        (SGD, {"speed": 1}, "settings out of lr, momentum, weight_decay. Found 'speed'"),
        (SGD, 3, "it should be settings of SGD. Found 3"),
        (torch.nn.Module | None, "x", "given in Python only. Found 'x'"),
    ],
)
def test_other_values_are_refused(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(MMParetoError, match=message):
        restore(annotation, value, "it")


def test_long_values_are_not_repeated_in_full() -> None:
    with pytest.raises(MMParetoError) as caught:
        restore(int, "x" * 100_000, "it")
    assert len(str(caught.value)) < 300


def test_modules_and_functions_are_no_settings_of_a_stored_training(tmp_path: Path) -> None:
    weighting = CustomWeighting(lambda gramian: gramian.diagonal())
    with pytest.raises(
        MMParetoError, match=r"plain values as its settings\. Found CustomWeighting"
    ):
        run(replace(CONFIG, method=weighting), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=SGD(lr=np.float64(0.5)))
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": SGD(lr=1)},
        {"schedule": Schedule(warmup=2)},
        {"lr_factors": {"gray": 2}},
        {"class_weights": {"1": 2}},
        {"clip": 3},
        {"method": ScaledUniform(2)},
    ],
)
def test_whole_numbers_are_numbers_too(change: dict[str, Any], tmp_path: Path) -> None:
    config = replace(CONFIG, **change)
    save_config(config, tmp_path / "config.yaml")
    assert identity(load_config(tmp_path / "config.yaml")) == identity(config)


def test_identity_is_of_what_the_result_depends_on(tmp_path: Path) -> None:
    assert identity(CONFIG) == identity(replace(CONFIG, workers=2))
    others = [
        {"seed": 1},
        {"method": Uniform()},
        {"optimizer": SGD(0.5)},
        {"modalities": ("gray",)},
    ]
    for change in others:
        assert identity(CONFIG) != identity(replace(CONFIG, **change)), change
    here, there = (replace(CONFIG, data=CGMNIST(tmp_path / name)) for name in ("a.npz", "b.npz"))
    assert identity(here) == identity(there), "the files may be moved"
