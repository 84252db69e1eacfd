"""Many files decoded, in order, by this process or several."""

from __future__ import annotations

import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
import torch

from mmpareto.errors import MMParetoError

_AHEAD = 4
"""Files in work per process; more would only fill memory behind a slow one."""


class Unreadable(MMParetoError):  # noqa: N818  # what is wrong with a file, not with a call
    """A file cannot be decoded. The message is the reason, in one line, without the file's path."""


@dataclass(frozen=True)
class Decoder(ABC):
    """From a file to an array.

    Subclasses are frozen dataclasses that can be pickled; their fields are the settings.

    Attributes:
        version: To be raised when the same file and settings give another array than before.
    """

    version: ClassVar[int]

    @abstractmethod
    def __call__(self, path: Path) -> np.ndarray:
        """Decodes one file.

        Args:
            path: Of the file.

        Returns:
            An array of any shape.

        Raises:
            Unreadable: If the file's content is not what can be decoded.
        """


@dataclass(frozen=True)
class Source:
    """A file, or a folder that stands for one.

    Args:
        name: What users call it, as its path relative to the data's root.
        path: Where it is.
    """

    name: str
    path: Path


class Passing(str):
    """A reason that may be gone the next time: the file could not be opened or read."""

    __slots__ = ()


Decoded = np.ndarray | str
"""The array, or the reason why there is none."""


def decode_all(decoder: Decoder, paths: Sequence[Path], workers: int) -> Generator[Decoded]:
    """Decodes files.

    Args:
        decoder: How.
        paths: Of the files.
        workers: Processes that decode; 0 decodes in this one.

    Yields:
        What comes of each file, in the order of the paths.

    Raises:
        MMParetoError: If a process ends while it decodes.
    """
    if not workers:
        yield from (attempt(decoder, path) for path in paths)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start) as pool:
        running: deque[tuple[Path, Future[Decoded]]] = deque()
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
            unfinished = [
                str(path) for path, future in running if not future.done() or future.exception()
            ]
            names = ", ".join(unfinished[:workers])  # they are begun in order
            raise MMParetoError(
                "Decoding should not end the process that does it. One of these files did: "
                f"{names}. Remove it, or decode with 0 workers to see more; what is decoded is "
                "kept."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def attempt(decoder: Decoder, path: Path) -> Decoded:
    """Decodes one file."""
    if not os.path.exists(path):  # noqa: PTH110  # unlike Path.exists also of names that no file can have
        return Passing("no such file")
    try:
        return decoder(path)
    except Unreadable as error:
        return Passing(error) if _is_passing(error) else str(error)
    except OSError as error:
        return Passing(f"cannot be read: {error.strerror}")
    except Exception as error:
        error.add_note(f"This happened while {path} was decoded.")
        raise


def _is_passing(error: BaseException) -> bool:
    """Whether it was the system that refused to open or read a file, or had no memory; not what the file holds."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    # Pillow says by an OSError without a number what is damaged, FFmpeg by classes of its own.
    return any(
        type(cause).__module__ == "builtins"
        and (
            isinstance(cause, MemoryError)
            or (isinstance(cause, OSError) and cause.errno is not None)
        )
        for cause in causes
    )


def _start() -> None:
    """Prepares a process that decodes."""
    torch.set_num_threads(1)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the process that waits for this one answers for it
    Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """Ends this process with the one that started it, which may have been killed and cannot do so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
