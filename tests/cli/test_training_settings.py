"""Settings of training on the command line and in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from mmpareto._catalogue import catalogue
from mmpareto.cli import main
from mmpareto.cli._commands import _run_settings
from mmpareto.cli._config_file import CATALOGUES
from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand
from mmpareto.errors import MMParetoError
from mmpareto.optimizers import SGD, AdamW, Schedule, TorchOptimizer
from mmpareto.training import RunConfig, describe, load_config


def given(*options: str) -> RunConfig:
    """The configuration that `mmpareto train` makes of its options."""
    parser = make_parser()
    parsed = parser.parse_args(expand(["train", "--out", "out", *options]))
    return RunConfig(**_run_settings(parser.instantiate(parsed)["train"]))


def in_file(tmp_path: Path, content: object) -> RunConfig:
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(content))
    return given("--config", str(tmp_path / "given.yaml"))


@pytest.mark.parametrize(
    ("options", "optimizer"),
    [
        ([], SGD()),
        (["--optimizer.lr", "0.1"], SGD(0.1)),
        (["--optimizer", "sgd", "--optimizer.momentum", "0"], SGD(momentum=0.0)),
        (["--optimizer", "adamw"], AdamW()),
        (["--optimizer.lr", "0.1", "--optimizer", "adamw"], AdamW(0.1)),
        (["--optimizer", "torch.optim.RAdam"], TorchOptimizer("torch.optim.RAdam")),
        (
            ["--optimizer=torch.optim.RAdam", "--optimizer.settings", '{"lr": 0.1}'],
            TorchOptimizer("torch.optim.RAdam", {"lr": 0.1}),
        ),
    ],
)
def test_an_optimizer_goes_by_its_name_or_path(options: list[str], optimizer: object) -> None:
    assert given(*options).optimizer == optimizer


def test_settings_are_options() -> None:
    options = {
        "schedule.kind": "cosine",
        "schedule.warmup": "2",
        "lr_factors": '{"gray": 0.1}',
        "precision": "bf16-mixed",
        "clip": "1",
        "accumulate": "4",
        "compile": "true",
        "class_weights": '{"3": 2}',
        "label_smoothing": "0.1",
        "patience": "5",
        "augmented": '["gray"]',
        "accelerator": "cpu",
    }
    config = given(*(f"--{name}={value}" for name, value in options.items()))
    assert config.schedule == Schedule("cosine", 2.0)
    assert (config.lr_factors, config.class_weights) == ({"gray": 0.1}, {"3": 2.0})
    assert (config.precision, config.clip, config.accumulate) == ("bf16-mixed", 1.0, 4)
    assert (config.compile, config.label_smoothing, config.patience) == (True, 0.1, 5)
    assert (config.augmented, config.accelerator) == (("gray",), "cpu")
    assert given("--class_weights", "balanced").class_weights == "balanced"


@pytest.mark.parametrize(
    ("content", "optimizer"),
    [
        ({"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}, SGD(0.1, 0.0, 0.0)),
        ({"momentum": 0.5}, SGD(momentum=0.5)),
        ("adamw", AdamW()),
        ({"class_path": "mmpareto.optimizers.AdamW", "init_args": {"lr": 0.1}}, AdamW(0.1)),
    ],
)
def test_files_name_optimizers_too(content: object, optimizer: object, tmp_path: Path) -> None:
    assert in_file(tmp_path, {"optimizer": content}).optimizer == optimizer


def test_a_stored_configuration_is_a_file_of_the_command_line(tmp_path: Path) -> None:
    for optimizer in (SGD(0.1), AdamW(), TorchOptimizer("torch.optim.RAdam", {"lr": 0.1})):
        config = given("--optimizer", "adamw")
        content = describe(config) | {"optimizer": describe(optimizer)}
        assert in_file(tmp_path, content).optimizer == optimizer
        assert load_config(tmp_path / "given.yaml").optimizer == optimizer


def test_what_is_chosen_beside_a_file_keeps_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(yaml.safe_dump({"optimizer": describe(AdamW(0.1))}))
    assert given("--config", str(file), "--optimizer", "adamw").optimizer == AdamW(0.1)
    assert given("--config", str(file), "--optimizer", "sgd").optimizer == SGD()


@pytest.mark.parametrize("kind", CATALOGUES)
def test_what_is_chosen_by_name_has_its_own_defaults(kind: str) -> None:
    for name, chosen in catalogue(*CATALOGUES[kind]).items():
        if name not in ("torch",) and kind != "data":
            assert getattr(given(f"--{kind}", name), kind) == chosen()


@pytest.mark.parametrize(
    "content",
    [
        {"class_path": "torch.optim.RAdam"},
        "torch.optim.RAdam",
        {"class_path": "mmpareto.balancing.Uniform"},
        {"class_path": "torch", "init_args": {"path": "subprocess.Popen"}},
        {"class_path": "torch", "init_args": {"path": "torch.optim.RAdam", "settings": {"x": 1}}},
        {"lr": {"class_path": "subprocess.Popen"}},
    ],
)
def test_files_name_no_other_classes(content: object, tmp_path: Path) -> None:
    with pytest.raises((MMParetoError, SystemExit)):
        in_file(tmp_path, {"optimizer": content})
    with pytest.raises(MMParetoError, match="optimizer"):
        load_config(_stored(tmp_path, content))


def _stored(tmp_path: Path, optimizer: object) -> Path:
    path = tmp_path / "stored.yaml"
    path.write_text(yaml.safe_dump(describe(given()) | {"optimizer": optimizer}))
    return path


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--accelerator", "gpu"], "`accelerator` should be one that this machine has. Found gpu"),
        (["--data", "none.csv"], "none.csv"),
        (["--lr_factors", '{"text": 1}'], "`lr_factors` should be some of ('gray', 'colour')"),
        (["--optimizer", "torch.optim.None"], "`optimizer.path` should be a class of torch.optim"),
        (["--optimizer.lr", "-1"], "`optimizer.lr` should be finite and not negative. Found -1.0"),
        (["--schedule.kind", "wave"], "schedule.kind"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_before_a_folder_is_made(
    command: str,
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        main([command, *options, "--out", "x"])
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
