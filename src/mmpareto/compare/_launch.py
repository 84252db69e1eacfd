"""Independent trainings in processes of their own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from itertools import cycle
from multiprocessing import spawn
from pathlib import Path
from typing import IO, Any

import torch

from mmpareto.errors import MMParetoError

_DEVICES = "CUDA_VISIBLE_DEVICES"


def launch(
    call: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    jobs: int,
    devices: Sequence[str] = (),
) -> Iterator[tuple[int, Future[Any]]]:
    """Runs ``call(*task)`` for all tasks, `jobs` of them at a time.

    Each of the `jobs` workers has one process, which serves task after task: what it imports is
    imported once, and a process that dies takes no other task along. All of them end with the
    program that launched them.

    Args:
        call: A picklable function.
        tasks: Its picklable arguments.
        jobs: Number of processes.
        devices: Devices of CUDA, one for each process; where they are fewer, processes share them.
            Without any the processes see what this one sees.

    Yields:
        The number of each task when it is done, with its finished future.
    """
    mine = threading.local()
    processes: list[_Process] = []
    places = cycle(devices or [None])

    def take_device() -> None:
        mine.device = next(places)

    def work(task: tuple[Any, ...]) -> Any:
        if not hasattr(mine, "process"):
            mine.process = _Process(mine.device)
            processes.append(mine.process)
        try:
            return mine.process.run(call, task)
        except EOFError as error:
            del mine.process
            raise MMParetoError(
                "The process died. Was it killed, or did it run out of memory?"
            ) from error

    threads = ThreadPoolExecutor(jobs, initializer=take_device)
    try:
        numbers = {threads.submit(work, task): number for number, task in enumerate(tasks)}
        for future in as_completed(numbers):
            yield numbers[future], future
    finally:  # after Ctrl-C, or if the caller has enough, what is under way ends now
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        threads.shutdown()
        for process in processes:
            process.close()


def visible_devices() -> list[str]:
    """The devices of CUDA that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    names = os.environ.get(_DEVICES)
    return (names.split(",") if names else list(map(str, range(count))))[:count]


class _Process:
    """A process that runs one call after the other.

    Args:
        device: The one device of CUDA that it sees; None for those that this process sees.
    """

    def __init__(self, device: str | None = None) -> None:
        program = Path(__file__).with_name("_worker.py")
        command = [sys.executable, "-P", str(program), str(os.getpid())]
        # From the start: torch looks once.
        environment = os.environ | ({} if device is None else {_DEVICES: device})
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._prepared = False

    def run(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Result of a call.

        Raises:
            EOFError: If the process dies.
            Exception: What the call raises.
        """
        try:
            if not self._prepared:
                self._send(pickle.dumps(_preparation()))
                self._prepared = True
            self._send(pickle.dumps((call, arguments)))
        except BrokenPipeError as broken:
            raise EOFError from broken
        length = self._receive(8)
        result, error = pickle.loads(self._receive(int.from_bytes(length, "big")))
        if error is not None:
            raise error
        return result

    def _send(self, content: bytes) -> None:
        self._requests.write(len(content).to_bytes(8, "big") + content)
        self._requests.flush()

    def _receive(self, length: int) -> bytes:
        content = self._answers.read(length)
        if len(content) < length:
            raise EOFError
        return content

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Closes the pipes, once nobody reads from them any more."""
        with suppress(BrokenPipeError):  # what a dead process has not read
            self._requests.close()
        self._answers.close()


def _preparation() -> dict[str, Any]:
    """What a process needs to import what its driver can, its main program included."""
    data = spawn.get_preparation_data("worker")
    del data["authkey"]  # it is secret, and for connections that a worker does not make
    return data
