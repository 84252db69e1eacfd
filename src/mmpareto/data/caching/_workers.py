"""Many files decoded, in order, by this process or by several."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

import torch

from mmpareto.data.caching._decoding import Decoder, Outcome, attempt
from mmpareto.errors import MMParetoError

_AHEAD = 4
"""Files in work per process; more would only fill memory behind a slow one."""

_Running = deque[tuple[Path, Future[Outcome]]]
"""Files in work, in order."""


def decode_all(decoder: Decoder, paths: Sequence[Path], workers: int) -> Generator[Outcome]:
    """Decodes files.

    Args:
        decoder: What decodes them.
        paths: Paths of the files.
        workers: Number of processes that decode; 0 decodes in this one.

    Yields:
        What comes of each file, in the order of the paths.

    Raises:
        MMParetoError: If a process ends while it decodes.
    """
    if not workers:
        for path in paths:
            yield attempt(decoder, path)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    running: _Running = deque()
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start) as pool:
        try:
            for path in paths:
                running.append((path, pool.submit(attempt, decoder, path)))
                if len(running) >= _AHEAD * workers:
                    yield running[0][1].result()
                    running.popleft()
            while running:
                yield running[0][1].result()
                running.popleft()
        except BrokenProcessPool as error:
            raise _ended(running, workers) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ended(running: _Running, workers: int) -> MMParetoError:
    """The error that names the files one of which has ended the process that decoded it."""
    unfinished = []
    for path, future in running:
        if not future.done() or future.exception():
            unfinished.append(str(path))
    suspects = ", ".join(unfinished[:workers])  # files are begun in order
    return MMParetoError(
        f"Decoding should not end the process that does it. One of these files did: {suspects}. "
        "Remove it, or decode with 0 workers to see more; what is decoded is kept."
    )


def _start() -> None:
    """Prepares a process that decodes."""
    torch.set_num_threads(1)
    # The process that waits for this one handles the interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Has this process end when its parent ends, which may be killed and cannot do so then."""
    Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
