"""docs/comparison.md: its commands are those that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand
from mmpareto.compare._dotted import SECTIONS
from mmpareto.compare._space import DEFAULT_SPACE, parse_space

PAGE = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ mmpareto (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    parsed = make_parser().parse_args(expand(shlex.split(command)))
    assert parsed.command == command.split()[0]


def test_the_space_of_the_page_is_one() -> None:
    (text,) = re.findall(r"`--space '(.*?)'`", PAGE)
    command = ["tune", "--out", "runs/x", "--space", text]
    space = make_parser().parse_args(expand(command)).tune.space
    assert parse_space(space).intervals.keys() == {"optimizer.lr", "method.gamma"}
    assert all(f"`{section}`" in PAGE for section in SECTIONS)
    low, high = DEFAULT_SPACE["optimizer.lr"]["log"]
    assert f"from {low} to {high}" in PAGE
