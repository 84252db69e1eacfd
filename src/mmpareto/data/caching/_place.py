"""Where caches are, and who may write there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmpareto.errors import MMParetoError


def cache_folder() -> Path:
    """The folder for all that is decoded or downloaded: ``$MMPARETO_CACHE``, or ``~/.cache/mmpareto``."""
    return Path(os.environ.get("MMPARETO_CACHE") or "~/.cache/mmpareto").expanduser().absolute()


def hold(file: Path) -> int | None:
    """Opens a file so that no process removes it by `remove_unless_held` until what is returned is closed.

    Returns:
        A file descriptor, or None where there is no such file or no such lock.
    """
    try:
        import fcntl  # not everywhere

        while True:
            with file.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_SH)
                if os.path.samestat(
                    os.fstat(opened.fileno()), file.stat()
                ):  # not removed or replaced meanwhile
                    return os.dup(opened.fileno())
    except (ImportError, OSError):
        return None


def remove_unless_held(folder: Path, file: Path) -> None:
    """Removes a folder, unless somebody holds this file in it."""
    import fcntl

    if not file.exists():
        shutil.rmtree(folder)
        return
    with (
        suppress(BlockingIOError),
        file.open("r+b") as opened,
    ):  # some file systems lock only what can be written
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes that ask for it waiting, until the block or this process ends.

    Args:
        folder: In the cache folder.

    Raises:
        MMParetoError: If the folder cannot be written to.
    """
    import fcntl  # not everywhere, and whoever reads needs none

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise MMParetoError(
            f"The cache should be in a folder that can be written to. Found {folder}: "
            f"{error.strerror}. Set the environment variable MMPARETO_CACHE to another folder."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
