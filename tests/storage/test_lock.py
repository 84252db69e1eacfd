"""The lock of a folder: one writer, named to others, and none that is dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmpareto._storage import _lock
from mmpareto._storage._lock import LOCK, PATIENCE, locked
from mmpareto.errors import MMParetoError

HOLDER = """
import sys
from pathlib import Path
from mmpareto._storage._lock import locked
with locked(Path(sys.argv[1]), sys.argv[2]):
    print("holds", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(folder: Path, work: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that locks the folder until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(folder), work]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as started:
        try:
            yield started
        finally:
            started.kill()


def line(stream: object) -> str:
    return stream.readline().strip()


def test_a_process_with_other_work_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with process(tmp_path, "seed 0") as other:
        assert line(other.stdout) == "holds"
        with (
            pytest.raises(MMParetoError, match=rf"Found process {other.pid} on .* at other work"),
            locked(tmp_path, "seed 7"),
        ):
            pass
        other.stdin.close()
        assert other.wait() == 0
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path, "seed 7"):
        assert (tmp_path / LOCK).exists()


def test_a_process_with_the_same_work_waits_and_says_for_whom(tmp_path: Path) -> None:
    with process(tmp_path, "seed 0") as first:
        assert line(first.stdout) == "holds"
        with process(tmp_path, "seed 0") as second:
            assert f"Waiting for process {first.pid} on " in line(second.stderr)
            first.stdin.close()
            assert line(second.stdout) == "holds"
            assert first.wait() == 0


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with process(tmp_path, "seed 0") as other:
        assert line(other.stdout) == "holds"
        other.send_signal(signal.SIGKILL)
        assert other.wait() == -signal.SIGKILL
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == other.pid
        with locked(tmp_path, "seed 7"):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_process_does_not_enter_twice(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "a"),
        pytest.raises(MMParetoError, match=f"process {os.getpid()}"),
        locked(tmp_path, "b"),
    ):
        pass


def left_by_another_machine(folder: Path, age: float) -> None:
    holder = {"host": "elsewhere", "pid": 12, "machine": "another", "work": "other"}
    (folder / LOCK).write_text(json.dumps(holder))
    last = (folder / LOCK).stat().st_mtime - age
    os.utime(folder / LOCK, (last, last))


def test_another_machine_holds_the_folder_while_it_shows_life(tmp_path: Path) -> None:
    left_by_another_machine(tmp_path, age=0)
    with (
        pytest.raises(MMParetoError, match="Found process 12 on elsewhere"),
        locked(tmp_path, "mine"),
    ):
        pass
    left_by_another_machine(tmp_path, age=PATIENCE + 10)
    with locked(tmp_path, "mine"):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}'])
def test_a_lock_that_names_nobody_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with locked(tmp_path, "mine"):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "precious.txt"
    mine.write_text("precious")
    (tmp_path / LOCK).symlink_to(mine)
    with pytest.raises(MMParetoError, match="should be a file that can be written"):
        locked(tmp_path, "a").__enter__()
    assert mine.read_text() == "precious"


def test_a_holder_shows_life(tmp_path: Path) -> None:
    class TwoBeats:
        left = 2

        def wait(self, seconds: float) -> bool:
            assert seconds < PATIENCE / 5
            self.left -= 1
            return self.left < 0

    (tmp_path / LOCK).touch()
    os.utime(tmp_path / LOCK, (0, 0))
    _lock._beat(tmp_path / LOCK, TwoBeats())
    assert (tmp_path / LOCK).stat().st_mtime > 0
