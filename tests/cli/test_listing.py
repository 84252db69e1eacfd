"""``mmpareto list``, and the documentation that it makes and checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmpareto import balancing, compare
from mmpareto._catalogue import catalogue
from mmpareto.cli import main
from mmpareto.compare import method_names
from mmpareto.errors import MMParetoError

DOCUMENT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
METHODS = catalogue(balancing, balancing.Method)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["list", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_of_the_documentation_is_what_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = printed(capsys, "methods", "--markdown")
    assert table in DOCUMENT
    assert printed(capsys, "--markdown") == table
    assert re.findall(r"^\| `(.+?)` ", table, re.MULTILINE) == list(METHODS)
    assert {line.count("|") for line in table.splitlines()} == {9}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_section(name: str) -> None:
    section = re.split(r"\n##+ ", DOCUMENT.split(f"\n### `{name}`\n")[1])[0]
    for part in ("$$", "- **Hurts** ", "- **Released code**"):
        assert section.count(part) == (2 if part == "$$" else 1)


def test_sections_are_of_methods_that_there_are() -> None:
    assert sorted(re.findall(r"^### `(.+)`$", DOCUMENT, re.MULTILINE)) == list(METHODS)


def test_a_terminal_shows_names_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = printed(capsys, "methods")
    assert max(map(len, shown.splitlines())) <= 80
    for name, method in METHODS.items():
        assert re.search(rf"^ +{name} +{method.facts.family} ", shown, re.MULTILINE)


@pytest.mark.parametrize("kind", ["data", "models"])
def test_other_kinds_are_listed_too(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = re.findall(r"^\| `(.+?)` \| .+ \|$", printed(capsys, kind, "--markdown"), re.MULTILINE)
    assert len(names) >= 6
    shown = printed(capsys, kind)
    assert all(re.search(rf"^ +{name} ", shown, re.MULTILINE) for name in names)


def test_all_stands_for_what_can_be_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def refuse(base: object, methods: list[str], *_: object, **__: object) -> None:
        asked.append(methods)
        raise MMParetoError("enough")

    monkeypatch.setattr(compare, "compare", refuse)
    with pytest.raises(SystemExit):
        main(["compare", "--methods", "all", "--out", str(tmp_path / "out")])
    assert asked == [method_names()]
    assert set(METHODS) <= set(method_names())
