"""The command line, as a person meets it: what it prints, and with which code it ends."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from mmpareto import __main__ as entry
from mmpareto import __version__, data, recipes
from mmpareto._catalogue import catalogue
from mmpareto.cli import _main, _printing, main
from mmpareto.cli._parser import expand
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError

SMALL = ["--model", "late-fusion", "--model.width", "2", "--epochs", "1"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a wrong command ends."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("mmpareto: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_warning_is_one_line_and_shown_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load_twice(settings: Any) -> int:
        warnings.simplefilter("always")
        warnings.warn("2 of 36 samples\nare left out", stacklevel=1)
        warnings.warn("2 of 36 samples are left out", stacklevel=2)
        return 0

    monkeypatch.setitem(_main._COMMANDS, "list", load_twice)
    assert main(["list"]) == 0
    assert capsys.readouterr().err == "mmpareto: warning: 2 of 36 samples are left out\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["nonsense"],
            "'nonsense' (choose from 'train', 'evaluate', 'predict', 'export', 'compare', 'tune', "
            "'list', 'data')",
        ),
        ([], '"command" to be one of'),
        (
            ["train", "--data", "nonsense", "--out", "x"],
            f"`data` should be one of {', '.join(catalogue(data, DatasetRecipe))}. Found "
            "'nonsense'",
        ),
        (
            ["train", "--method", "nonsense", "--out", "x"],
            "scaled-uniform, umt, uniform, upgrad. Found 'nonsense'",
        ),
        (
            ["train", "--model=nonsense", "--out", "x"],
            "gated-fusion, late-fusion, mmtm, sum-fusion. Found 'nonsense'",
        ),
        (["train", "--data", "cg-mnist", "--out", "x"], "add --data.root"),
        (["train", "--data.root", "none.npz", "--data", "cg-mnist", "--out", "x"], "/none.npz."),
        (
            ["train", "--epochs", "many", "--out", "x"],
            "\"epochs\": Expected a <class 'int'>. Got value: many",
        ),
        (["train", "--epochs", "0", "--out", "x"], "`epochs` should be at least 1. Found 0"),
        (
            ["train", "--method", "mmpareto", "--method.gamma", "-1", "--out", "x"],
            "`gamma` should be positive and finite",
        ),
        (
            ["train", "--model.width", "wide", "--out", "x"],
            "\"width\": Expected a <class 'int'>. Got value: wide",
        ),
        (
            ["train", "--data.variance", "wide", "--out", "x"],
            "\"variance\": Expected a <class 'float'>. Got value: wide",
        ),
        (
            ["train", "--modalities", "gray,text", "--out", "x"],
            "`modalities` should be some of ('gray', 'colour')",
        ),
        (
            ["train", "--batch_size", "5000", "--out", "x"],
            "at most the size of the training part, 1257. Found 5000",
        ),
        (
            ["train", "--batch_size", "63", "--devices", "2", "--out", "x"],
            "multiple of the number of processes",
        ),
        (
            ["train", "--strategy", "tp", "--out", "x"],
            "\"strategy\": Expected a typing.Literal['auto', 'ddp', 'fsdp']",
        ),
        (["compare", "--devices", "2", "--out", "x"], "unrecognized arguments: --devices 2"),
        (["evaluate"], "required: the folder of a training"),
        (["train", "--nonsense", "--out", "x"], "unrecognized arguments: --nonsense"),
        (["train"], "required: --out"),
        (["train", "--config", "none.yaml", "--out", "x"], "none.yaml"),
        (
            ["train", "--out", "/proc/none"],
            "`out` should be a folder to write to. Found /proc/none",
        ),
        (["train", "--out", ""], "`out` should be a folder to write to. Found an empty name"),
        (["train", "--out="], "`out` should be a folder to write to. Found an empty name"),
        (["train", "--out"], "argument --out: expected one argument"),
        (["evaluate", "none"], "Found no file none/config.yaml"),
        (["compare", "--methods", "joint,nonsense", "--out", "x"], "Found 'nonsense'"),
        (["compare", "--data", "cg-mnist", "--data.root", "none.npz", "--out", "x"], "/none.npz."),
    ],
)
def test_a_wrong_command_ends_with_one_line_and_code_two(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(arguments, capsys)
    assert not (tmp_path / "x").exists()


def test_names_are_no_markup_and_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "left[/eye]\x1b]0;taken\x07[red]"
    table = _printing.scores_table(recipes.cg_digits(), {"test": {f"{name}_accuracy": 0.5}})
    Console(width=100).print(table)
    _printing.say(f"Results are in {name}")
    captured = capsys.readouterr().out
    assert captured.count("left[/eye]\\x1b]0;taken\\x07[red]") == 2
    assert refused(["train", "--data", f"{name}\n", "--out", "x"], capsys).isascii()


def test_train_then_evaluate_gives_the_stored_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert (
        main(
            [
                "train",
                *SMALL,
                "--method",
                "scaled-uniform",
                "--method.gamma",
                "2",
                "--seed",
                "3",
                "--out",
                out,
            ]
        )
        == 0
    )
    trained = re.findall(r"(\w+)\W+(\d+\.\d\d)", capsys.readouterr().out)
    assert main(["evaluate", out]) == 0
    evaluated = capsys.readouterr().out
    assert [name for name, _ in trained] == ["joint", "gray", "colour"]
    for name, value in trained:
        assert re.search(rf"{name}\W+{value}\W+{value}\W", evaluated)
    assert "gives the stored numbers" in evaluated
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["method"] == {
        "class_path": "mmpareto.balancing.ScaledUniform",
        "init_args": {"gamma": 2.0},
    }

    # The file that a training leaves is one that a training takes.
    again = str(tmp_path / "again")
    assert main(["train", "--config", f"{out}/config.yaml", "--out", again]) == 0
    assert (tmp_path / "again" / "best.ckpt").read_bytes() == (
        tmp_path / "run" / "best.ckpt"
    ).read_bytes()

    checkpoint = torch.load(f"{again}/best.ckpt", weights_only=True)
    checkpoint["state_dict"]["model.joint.bias"] += torch.arange(10) * 10.0
    torch.save(checkpoint, f"{again}/best.ckpt")
    with pytest.raises(SystemExit):
        main(["evaluate", again])
    assert "best.ckpt has changed" in capsys.readouterr().err
    (tmp_path / "again" / "checksums.json").unlink()
    assert main(["evaluate", again]) == 1
    assert "does not give the stored numbers" in capsys.readouterr().err


def test_names_stand_for_classes_in_files_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short.yaml").write_text("data: cg-digits\nmethod: uniform\nepochs: 2\n")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", str(tmp_path / "short.yaml"), "--seed", "4", "--print_config"])
    assert ended.value.code in (0, None)
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["method"]["class_path"].endswith("Uniform")
    assert (printed["epochs"], printed["seed"]) == (2, 4)
    (tmp_path / "wrong.yaml").write_text("method: nonsense\n")
    assert "Found 'nonsense'" in refused(
        ["train", "--config", str(tmp_path / "wrong.yaml"), "--out", "x"], capsys
    )


def printed_config(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--print_config"])
    assert ended.value.code in (0, None)
    return yaml.safe_load(capsys.readouterr().out)


def test_a_setting_in_a_file_that_a_command_does_not_have_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yaml").write_text("epochs: 1\n")
    said = refused(["data", "check", "--config", str(tmp_path / "e.yaml")], capsys)
    assert "should hold settings of this command. Found others" in said


def test_what_stands_beside_a_file_prevails_over_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "base.yaml")
    Path(file).write_text("method: mgda\nepochs: 2\nout: null\n")
    found = printed_config(
        ["train", "--method", "scaled-uniform", "--method.gamma", "2", "--config", file], capsys
    )
    assert found["method"] == {
        "class_path": "mmpareto.balancing.ScaledUniform",
        "init_args": {"gamma": 2.0},
    }
    found = printed_config(
        ["train", "--out", "somewhere", "--epochs", "3", f"--config={file}"], capsys
    )
    assert found["method"]["class_path"] == "mmpareto.balancing.MGDA"
    assert (found["epochs"], found["out"]) == (3, "somewhere")
    assert printed_config(["train", "--modalities", "gray"], capsys)["modalities"] == ["gray"]


@pytest.mark.parametrize(
    ("kind", "name"), [("data", "cg-mnist"), ("method", "mmpareto"), ("model", "late-fusion")]
)
def test_settings_of_what_has_a_name_are_shown_and_checked(
    kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", f"--{kind}.help", name])
    assert ended.value.code in (0, None)
    shown = capsys.readouterr().out
    assert f"--{kind}." in shown
    assert "Unvalidated" not in shown


def test_own_classes_go_by_their_path() -> None:
    assert expand(["train", "--method", "my.own.Method"]) == ["train", "--method=my.own.Method"]
    with pytest.raises(MMParetoError, match="Found 'nonsense'"):
        expand(["compare", "--data", "nonsense"])


def test_compare_reports_and_ends_with_one_if_a_cell_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "compare",
        *SMALL,
        "--methods",
        "uniform,mmpareto",
        "--seeds",
        "1",
        "--jobs",
        "2",
        "--out",
        str(tmp_path),
    ]
    broken = tmp_path / "runs" / "mmpareto-seed0" / "last.ckpt"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"garbage")
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "Failed: mmpareto, seed 0: " in captured.err
    assert "uniform, seed 0: done" in captured.out
    assert "mmpareto" in (tmp_path / "report.html").read_text()
    broken.unlink()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "[1/2] uniform, seed 0: done before" in captured.out
    assert f"Report: {(tmp_path / 'report.html').as_uri()}" in captured.out
    config = ["compare", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path)]
    assert main(config) == 0
    assert capsys.readouterr().out.count("done before") == 2


def test_list_names_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in (
        "joint",
        "uniform",
        "scaled-uniform",
        "mgda",
        "mmpareto",
        "cg-digits",
        "cg-mnist",
        "late-fusion",
    ):
        assert re.search(rf"^\s+{name}\s", listed, re.MULTILINE), name


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "list"])
def test_help_fits_a_screen_of_eighty_columns_and_hides_internals(command: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "mmpareto", command, "--help"],
        env={"COLUMNS": "80", "PATH": ""}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert max(map(len, shown.splitlines())) <= 80
    assert "class_path" not in shown
    if command == "train":
        assert "scaled-uniform, umt, uniform, upgrad" in " ".join(shown.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.strip() == f"mmpareto {__version__}"


def test_without_the_extra_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        entry, "find_spec", lambda name: None if name == "lightning" else found(name)
    )
    assert entry.main() == 2
    assert capsys.readouterr().err == (
        "mmpareto: error: the command line needs lightning. Run: pip install 'mmpareto[cli]'\n"
    )
