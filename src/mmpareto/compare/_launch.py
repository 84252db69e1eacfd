"""Independent trainings in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from mmpareto.errors import MMParetoError


def launch(
    call: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, Future[Any]]]:
    """Runs ``call(*task)`` for all tasks, `jobs` of them at a time.

    Each of the `jobs` workers has one process, which serves task after task: what it imports is
    imported once, and a process that dies takes no other task along.

    Args:
        call: A picklable function.
        tasks: Its picklable arguments.
        jobs: Number of processes.

    Yields:
        The number of each task when it is done, with its finished future.
    """
    workers = threading.local()
    started: dict[int, ProcessPoolExecutor] = {}

    def work(task: tuple[Any, ...]) -> Any:
        if not hasattr(workers, "process"):
            workers.process = _process()
            started[workers.process.submit(os.getpid).result()] = workers.process
        try:
            return workers.process.submit(call, *task).result()
        except BrokenProcessPool as error:
            del workers.process
            raise MMParetoError(
                "The process died. Was it killed, or did it run out of memory?"
            ) from error

    threads = ThreadPoolExecutor(jobs)
    try:
        numbers = {threads.submit(work, task): number for number, task in enumerate(tasks)}
        for future in as_completed(numbers):
            yield numbers[future], future
    except BaseException:  # Ctrl-C, or the caller has enough: what is under way ends now
        threads.shutdown(wait=False, cancel_futures=True)
        for number in started:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        raise
    finally:
        threads.shutdown()
        for process in started.values():
            process.shutdown()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    # What the data set warns of, the process that starts the trainings has said.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"mmpareto\.training")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A program that is killed cannot end its workers, and a training left behind would write into a
    # folder that the next call of the same command writes to.
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)
