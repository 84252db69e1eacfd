"""What the README says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from mmpareto import balancing, data, models
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method
from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand, expand_name
from mmpareto.data import DatasetRecipe
from mmpareto.models import ModelRecipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_python_blocks_run(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    assert blocks("python")
    for block in blocks("python"):
        exec(block, {})
    assert "tensor(" in capsys.readouterr().out


def commands() -> list[list[str]]:
    lines = "".join(blocks("console")).replace("\\\n", " ").splitlines()
    return [line.split()[2:] for line in lines if line.startswith("$ mmpareto ")]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_parse(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.csv").touch()
    monkeypatch.chdir(tmp_path)
    parsed = make_parser().parse_args(expand(expand_name(command)))
    assert parsed.command == command[0]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(
            r"`make ([a-z-]+)`|\$ make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()
        )
    )
    assert {first or second for first, second in named} <= targets


def test_images_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path


def test_every_method_is_in_the_table() -> None:
    for method in catalogue(balancing, Method).values():
        assert f"`mp.{method.__name__}(" in README


def test_catalogues_are_not_empty() -> None:
    assert all(map(len, (catalogue(data, DatasetRecipe), catalogue(models, ModelRecipe))))
