"""YAML files: plain values of a bounded number."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from mmpareto._storage._yaml import parse_yaml, read_yaml
from mmpareto.errors import MMParetoError

LETTERS = "abcdefghij"
BOMB, MERGES = "a: &a [x,x,x,x,x,x,x,x,x]\n", "a: &a {x: 1}\n"
for last, this in pairwise(LETTERS):
    nine = ",".join([f"*{last}"] * 9)
    BOMB += f"{this}: &{this} [{nine}]\n"
    MERGES += f"{this}: &{this} {{<<: [{nine}]}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases that multiply"),
        (MERGES, "aliases that multiply"),
        ("a: &a [*a]", "aliases that multiply"),
        ("a: [", "should be YAML"),
        ("[" * 5000, "should be YAML"),
        ("a: 2020-13-45", "should be YAML"),
        ("!!python/object/apply:os.system [touch RAN]", "should be YAML"),
        ("!!python/name:os.system x", "should be YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text: str, message: str) -> None:
    with pytest.raises(MMParetoError, match=rf"^it .*{message}") as raised:
        parse_yaml(text, "it")
    assert "\n" not in str(raised.value)


def test_aliases_that_repeat_a_little_are_fine() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n", "it") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "Found NoneType"), (b"- 1\n", "Found list"), (b"\xff\xfe\x80", "UTF-8"), (b"3", "int")],
)
def test_a_file_without_settings_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(MMParetoError, match=rf"config\.yaml should .*{message}"):
        read_yaml(tmp_path / "config.yaml")
