"""docs/training.md lists the settings of a training, and its command runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mmpareto.cli import main
from mmpareto.training._config import LATER

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


@pytest.mark.parametrize("name", [*LATER, "optimizer", "accelerator"])
def test_every_setting_is_listed(name: str) -> None:
    assert re.search(rf"^\| `--{name}(\.\w+)?`", PAGE, re.MULTILINE)


def test_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```console\n\$ (.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    command = shlex.split(block.replace("\\\n", " "))
    assert main([*command[1:], "--model.width", "2"]) == 0
    assert (tmp_path / "runs" / "adamw" / "metrics.json").exists()
