"""Where caches are, and who may write there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmpareto._storage._folders import make_folder
from mmpareto._storage._lock import locked
from mmpareto.errors import MMParetoError

try:
    import fcntl
except ImportError:  # Windows, which removes no file that is open: to open it is to hold it
    fcntl = None  # type: ignore[assignment]


def cache_folder() -> Path:
    """The folder of what is decoded or fetched: ``$MMPARETO_CACHE``, or ``~/.cache/mmpareto``."""
    return Path(os.environ.get("MMPARETO_CACHE") or "~/.cache/mmpareto").expanduser().absolute()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes a folder, and lets other processes that ask for it wait until the block ends.

    A process that is killed keeps nobody waiting.

    Args:
        folder: Path of a folder in the cache folder.

    Raises:
        MMParetoError: If the folder cannot be written to.
    """
    try:
        make_folder(folder, "The cache")
    except MMParetoError as error:
        remedy = "Set the environment variable MMPARETO_CACHE to another folder."
        raise MMParetoError(f"{error} {remedy}") from error
    with locked(folder, "cache"):
        yield


def make_private(folder: Path) -> None:
    """Makes a folder for the user alone.

    Raises:
        MMParetoError: If there is a link, a file or another user's folder, which may be planted.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    is_ours = os.name != "posix" or folder.lstat().st_uid == os.geteuid()
    if folder.is_symlink() or not folder.is_dir() or not is_ours:
        raise MMParetoError(
            f"{folder} should be a folder that this program made for you. Found something "
            "else. Delete it, or set the environment variable MMPARETO_CACHE to another folder."
        )


def remove(folder: Path) -> None:
    """Removes a folder, or a link in its place, if there is one."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def hold(file: Path) -> int | None:
    """Opens a file, so that `remove_unless_held` leaves it until what is returned is closed.

    Returns:
        A file descriptor, or None where there is no such file or the file system has no locks.
    """
    try:
        while True:
            with file.open("rb") as opened:
                if fcntl is not None:
                    fcntl.flock(opened, fcntl.LOCK_SH)
                descriptor = opened.fileno()
                # Another process may have removed or replaced the file before it was locked.
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    return os.dup(descriptor)
    except OSError:
        return None


def remove_unless_held(folder: Path, file: Path) -> None:
    """Removes a folder, unless somebody holds a file in it.

    Args:
        folder: Path of the folder.
        file: Path of the file that `hold` opens.
    """
    if fcntl is None:
        with suppress(PermissionError):  # of Windows, because somebody has a file open
            file.unlink(missing_ok=True)
            shutil.rmtree(folder)
    elif not file.exists():
        shutil.rmtree(folder)
    else:
        # To be written to, because some file systems lock no other files.
        with suppress(BlockingIOError), file.open("r+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
