"""docs/data.md on arrays: its code and its command run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mmpareto.cli import main
from mmpareto.data import Splits

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Your own arrays")[2].partition("\n## ")[0]


def test_the_code_and_the_command_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names["splits"], Splits)
    (command,) = re.findall(r"```console\n\$ mmpareto (.*?)```", SECTION, re.DOTALL)
    small = ["--epochs", "1", "--batch_size", "8", "--model.width", "2"]
    assert main([*shlex.split(command), *small]) == 0
    assert (tmp_path / "runs" / "birds" / "metrics.json").is_file()
    assert main(["data", "check", "birds.npz", "--data.group", "bird"]) == 0
