"""Checksums of files that belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpareto._storage._seal import SEAL, faults, seal

NAMES = ("a", "b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_text(f"content of {name}")
    return tmp_path


def test_what_was_sealed_and_is_unchanged_belongs_together(folder: Path) -> None:
    assert faults(folder, NAMES) == []  # never sealed
    seal(folder, NAMES)
    assert faults(folder, NAMES) == []


@pytest.mark.parametrize("position", range(12))
def test_each_flipped_bit_is_noticed(folder: Path, position: int) -> None:
    seal(folder, NAMES)
    content = bytearray((folder / "b").read_bytes())
    content[position] ^= 1
    (folder / "b").write_bytes(content)
    assert faults(folder, NAMES) == ["b has changed"]


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "a").unlink()
    assert faults(folder, NAMES) == ["a is missing"]
    (folder / "b").unlink()
    (folder / "b").mkdir()
    assert faults(folder, NAMES) == ["a is missing", "b is missing"]


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"[3]", b"\xff"])
def test_a_damaged_seal_is_a_fault(folder: Path, content: bytes) -> None:
    (folder / SEAL).write_bytes(content)
    assert faults(folder, NAMES) == [f"{SEAL} is damaged"]
