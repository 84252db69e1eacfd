"""Caches that several processes use, or one that ends before it is done."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.caches import Folder, store, stored, texts
from mmpareto.data.caching._cache import cache_folder
from mmpareto.errors import MMParetoError

TESTS = Path(__file__).parents[1]

SCRIPT = """
import sys
from pathlib import Path
from data.caches import Counting, Source, cached, texts
if __name__ == "__main__":
    files, calls, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    paths = sorted(files.iterdir(), key=lambda path: int(path.stem))
    sources = [Source(path.name, path) for path in paths]
    print(texts(cached("test", sources, Counting(calls), workers=workers)))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path)


@pytest.fixture
def script(tmp_path: Path, folder: Folder) -> list[str]:
    """A command that makes the folder's cache; the last word is the number of workers."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return [sys.executable, str(path), str(folder.files), str(folder.calls)]


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_process_continues_where_it_stopped(
    workers: int, folder: Folder, script: list[str]
) -> None:
    contents = [str(number) * 40 for number in range(12)]
    contents[5] = "bad"
    contents[8] = "wait! for the gate"
    sources = folder.write(*contents)
    gate = folder.calls.parent / "gate"
    os.mkfifo(gate)
    process = start([*script, str(workers)])
    with gate.open("wb"):  # opens when the ninth file is being decoded, and holds it up
        running = {int(call.name.split("-")[1]) for call in folder.calls.iterdir()}
        ends = {pid: os.pidfd_open(pid) for pid in running}
        process.kill()
        process.communicate()
        for end in ends.values():
            assert select.select([end], [], [], 60)[0], "a process outlives the one that started it"
            os.close(end)
    gate.unlink()
    first = folder.decoded()
    assert "8" in first
    gate.write_text("")
    cache = folder.open(sources, workers=workers)
    assert texts(cache) == [None if content == "bad" else content for content in contents]
    again = folder.decoded()
    assert {"9", "10", "11"} <= set(first) | set(again)
    assert set(again) <= {str(number) for number in range(12)} - {
        str(number) for number in range(0 if workers else 8)
    }
    continued = stored()
    for path in store().iterdir():
        path.unlink()
    folder.open(sources)
    assert stored() == continued


def test_of_two_processes_one_decodes_and_the_other_waits(
    folder: Folder, script: list[str]
) -> None:
    folder.write("some", "wait! for the gate", "more")
    gate = folder.calls.parent / "gate"
    os.mkfifo(gate)
    first = start([*script, "0"])
    with gate.open("wb"):
        second = start([*script, "0"])
        assert waits(second)
        assert not [
            call for call in folder.calls.iterdir() if int(call.name.split("-")[1]) == second.pid
        ]
    outputs = [process.communicate() for process in (first, second)]
    assert [output for output, _ in outputs] == ["['some', 'wait! for the gate', 'more']\n"] * 2, (
        outputs
    )
    assert folder.decoded() == ["0", "1", "2"]


def waits(process: subprocess.Popen[str]) -> bool:
    """Reads what a script tells until it waits for a lock; False if it ends without doing so."""
    assert process.stderr is not None
    return any("Waiting for process" in line for line in process.stderr)


def test_a_process_that_ends_while_it_decodes_is_no_riddle(folder: Folder) -> None:
    with pytest.raises(MMParetoError, match=r"should not end the process .* did: .*1\.txt"):
        folder.open(folder.write("good", "end"), workers=1)


def test_an_interrupt_reaches_the_caller_and_what_is_done_is_kept(folder: Folder) -> None:
    sources = folder.write("a", "b", "c")

    def interrupt(name: str, done: int, total: int) -> None:
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        folder.open(sources, progress=interrupt)
    assert texts(folder.open(sources)) == ["a", "b", "c"]
    assert folder.decoded() == ["0", "1", "2"]


FULL = """
import resource, sys
# Bytes of any file, as if the disk were full.
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.argv.append("0")
exec(compile(open(sys.argv[1]).read(), sys.argv.pop(1), "exec"))
"""


def test_a_full_disk_is_an_error_and_leaves_nothing_half_read(
    folder: Folder, script: list[str]
) -> None:
    contents = [str(number) * 300 for number in range(8)]
    sources = folder.write(*contents)
    full = folder.calls.parent / "full.py"
    full.write_text(FULL)
    _, error = start([script[0], str(full), *script[1:]]).communicate()
    assert "MMParetoError: The cache" in error
    assert "File too large" in error
    assert "MMPARETO_CACHE" in error.splitlines()[-1]
    done = folder.decoded()
    assert done[:2] == ["0", "1"]
    assert texts(folder.open(sources)) == contents
    assert len(done) + len(folder.decoded()) == len(contents) + 1


def test_another_command_leaves_a_cache_in_use_where_it_is(
    folder: Folder, script: list[str]
) -> None:
    before = [str(number) * 9 for number in range(4)]
    cache = folder.open(folder.write(*before))
    folder.source("4.txt", "new")
    output, error = start([*script, "0"]).communicate()
    assert output == f"{[*before, 'new']}\n", error
    assert folder.decoded() == ["0", "1", "2", "3", "4"], (
        "the new one is decoded, the rest taken over"
    )
    assert texts(pickle.loads(pickle.dumps(cache))) == before
    assert len([path for path in cache_folder().glob("*/*") if path.is_dir()]) == 2
    del cache
    start([*script, "0"]).communicate()
    (folder.files / "0.txt").unlink()
    start([*script, "0"]).communicate()
    store()  # alone
