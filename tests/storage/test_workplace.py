"""A folder in which one process works: made, locked, and gone if it stays empty."""

from __future__ import annotations

import os
from pathlib import Path

from mmpareto._storage._lock import LOCK
from mmpareto._storage._workplace import workplace


def test_a_new_folder_that_stays_empty_is_gone(tmp_path: Path) -> None:
    with workplace(tmp_path / "a" / "b", "work"):
        assert (tmp_path / "a" / "b" / LOCK).exists()
    assert list(tmp_path.iterdir()) == []
    with workplace(tmp_path / "a" / "b", "work"):
        (tmp_path / "a" / "b" / "file").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    with workplace(tmp_path / "empty", "work"):
        pass
    assert (tmp_path / "empty").is_dir()


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".mmpareto-1.tmp").write_text("half")
    os.utime(tmp_path / ".mmpareto-1.tmp", (0, 0))
    with workplace(tmp_path, "work"):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK}
