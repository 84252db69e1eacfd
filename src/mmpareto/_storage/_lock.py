"""One writer per folder: a lock that names its holder, and that no dead process keeps."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import getnode

from mmpareto.errors import MMParetoError

LOCK = ".lock"
BEAT = 5.0
"""Seconds between two signs of life of a holder."""
PATIENCE = 60.0
"""Seconds without a sign of life after which a holder on another machine counts as dead."""
_PAUSE = 0.2  # seconds between two attempts


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        host: Name of its machine.
        pid: Number of its process.
        machine: What tells machines apart.
        work: Digest of what it does; equal for those who may wait for each other.
    """

    host: str
    pid: int
    machine: str
    work: str


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Keeps other processes from writing to a folder.

    A process that does the same work waits, and says for whom; one that does other work is refused.
    The lock of a process that has died is taken over: at once where the system tells, after a
    minute without a sign of life where its machine is another.

    Args:
        folder: The folder, which exists.
        work: Description of the work.

    Yields:
        None, while the folder is locked.

    Raises:
        MMParetoError: If a process with other work holds the folder; the message names it.
    """
    digest = hashlib.sha256(work.encode()).hexdigest()
    holder = Holder(socket.gethostname(), os.getpid(), _machine(), digest)
    descriptor = _acquire(folder / LOCK, holder)
    ended = threading.Event()
    pulse = threading.Thread(target=_beat, args=(folder / LOCK, ended), daemon=True)
    pulse.start()
    try:
        yield
    finally:
        ended.set()
        pulse.join()
        _release(folder / LOCK, descriptor)


def _acquire(path: Path, holder: Holder) -> int:
    """Waits until the lock is free, takes it, and returns its open file."""
    awaited = None
    while True:
        descriptor = _open(path)
        if _is_free(path, descriptor, holder):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(holder)).encode())
            return descriptor
        other = _read(descriptor)
        os.close(descriptor)
        if other is not None and other != awaited:
            _await(other, holder, path.parent)
            awaited = other
        time.sleep(_PAUSE)


def _await(other: Holder, holder: Holder, folder: Path) -> None:
    """Says who is waited for, or raises if that one does other work."""
    name = f"process {other.pid} on {other.host}"
    if other.work != holder.work:
        raise MMParetoError(
            f"{folder} should be a folder that no other process writes to. Found {name} at other "
            "work in it. Wait until it ends, or choose another folder."
        )
    warnings.warn(f"Waiting for {name}, which is at work in {folder}.", stacklevel=5)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be written. Found: {error.strerror}."
        ) from error
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise MMParetoError(f"{path} should be the only name of a file. Found others. Delete it.")
    return descriptor


def _is_free(path: Path, descriptor: int, holder: Holder) -> bool:
    """Whether `holder` may take the lock. The system's lock on the file is then held."""
    exclusive = _lock_file(descriptor)
    if exclusive is False:
        return False
    opened = os.fstat(descriptor)
    if not path.exists() or path.stat().st_ino != opened.st_ino:
        return False  # the last holder has deleted it since it was opened
    other = _read(descriptor)
    if other is None or (exclusive and other.machine == holder.machine):
        return True  # the system would not have given the lock of a process that lives
    return time.time() - opened.st_mtime > PATIENCE


def _lock_file(descriptor: int) -> bool | None:
    """Takes the system's lock on a file. Returns None where the system has no such locks."""
    if sys.platform == "win32":
        return None
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, ImportError):  # some network file systems
        return None
    return True


def _read(descriptor: int) -> Holder | None:
    """The holder that a lock names, if it names one."""
    try:
        return Holder(**json.loads(os.read(descriptor, 10_000)))
    except (ValueError, TypeError):
        return None
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(path)


def _release(path: Path, descriptor: int) -> None:
    with suppress(OSError):
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            path.unlink()
    os.close(descriptor)


def _machine() -> str:
    """What tells a running machine apart, and is the same in all of its containers."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else f"{socket.gethostname()}-{getnode()}"
