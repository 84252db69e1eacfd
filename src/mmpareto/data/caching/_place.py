"""Where caches are, and who may write there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmpareto.errors import MMParetoError


def cache_folder() -> Path:
    """The folder for all that is decoded or downloaded: ``$MMPARETO_CACHE``, or ``~/.cache/mmpareto``."""
    return Path(os.environ.get("MMPARETO_CACHE") or "~/.cache/mmpareto").expanduser().absolute()


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
            f"The cache should be in a folder that can be written to. Found {folder}: {error.strerror}. Set the "
            "environment variable MMPARETO_CACHE to another folder."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
