"""Processes end with the program that started them, whatever they do at that moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from mmpareto.compare._launch import launch, visible_devices
from mmpareto.errors import MMParetoError

IMPORTING = """
import ctypes, fcntl, os, sys

if __name__ == "__main__":
    from mmpareto.compare._launch import launch
    list(launch(print, [()], jobs=1))
else:  # the worker imports its driver's program, and its driver dies
    file = open(sys.argv[1], "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    os.kill(os.getppid(), 9)
    ctypes.PyDLL(None).pause()  # as the loading of a library: no other thread of Python runs
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells of a parent's death")
def test_workers_end_with_their_driver_while_they_import(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(IMPORTING)
    command = [sys.executable, tmp_path / "killed.py", tmp_path / "lock"]
    ended = subprocess.run(command, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    # Never gets the lock, and fails at the limit, if the worker that holds it lives on.
    take = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
    subprocess.run([sys.executable, "-c", take, tmp_path / "lock"], check=True, timeout=60)


class Unpicklable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def print_and_fail() -> None:
    sys.stdout.write("to standard output\n")  # must not be taken for an answer
    raise Unpicklable(1, 2)


def name_of_main() -> str:
    return sys.modules["__main__"].__name__


def test_what_a_task_prints_and_raises_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    ended = dict(launch(print_and_fail, [()], jobs=1))
    with pytest.raises(RuntimeError, match="Unpicklable: 1 and 2"):
        ended[0].result()
    assert capfd.readouterr() == ("", "to standard output\n")


def test_what_cannot_be_sent_fails_alone() -> None:
    ended = dict(launch(len, [(lambda: 0,), ("abc",)], jobs=1))
    assert ended[0].exception() is not None
    assert ended[1].result() == 3


def test_no_process_outlives_its_generator() -> None:
    running = launch(len, [("a",), ("bc",)], jobs=1)
    assert next(running)[1].result() == 1
    running.close()
    with pytest.raises(StopIteration):
        next(running)


def meet(port: int) -> str | None:
    """What a process sees, when all processes are here."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.recv(1)
    assert "torch" not in sys.modules or not torch.cuda.is_initialized()
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def seen_together(jobs: int, devices: list[str]) -> list[str | None]:
    """What each of some processes that run at a time sees."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:
        ended = launch(meet, [(server.getsockname()[1],)] * jobs, jobs, devices)

        def let_them_meet() -> None:
            arrived = [connections.enter_context(server.accept()[0]) for _ in range(jobs)]
            for connection in arrived:
                connection.sendall(b".")

        meeting = threading.Thread(target=let_them_meet)
        meeting.start()
        seen = [future.result() for _, future in ended]
        meeting.join()
    return seen


def test_each_process_has_a_device_and_shares_it_where_they_are_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7,9")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert visible_devices() == ["5", "GPU-7"]
    assert sorted(seen_together(2, visible_devices())) == ["5", "GPU-7"]
    assert sorted(seen_together(3, visible_devices())) == ["5", "5", "GPU-7"]
    assert seen_together(1, []) == ["5,GPU-7,9"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_devices() == ["0", "1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_devices() == []


def die_once(folder: Path) -> str | None:
    if not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(1)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_a_process_in_place_of_a_dead_one_has_its_device(tmp_path: Path) -> None:
    ended = dict(launch(die_once, [(tmp_path,)] * 2, 1, ["3", "4"]))
    assert isinstance(ended[0].exception(), MMParetoError)
    assert ended[1].result() == "3"


def exit_at_once() -> None:
    raise SystemExit(3)


def test_a_process_that_exits_is_told() -> None:
    ended = dict(launch(exit_at_once, [(), ()], jobs=2))
    assert all(isinstance(future.exception(), MMParetoError) for future in ended.values())
