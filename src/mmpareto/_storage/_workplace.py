"""A folder in which one process works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmpareto._storage._files import clear_leftovers
from mmpareto._storage._folders import make_folder
from mmpareto._storage._lock import locked


@contextmanager
def workplace(folder: Path, work: str) -> Iterator[None]:
    """Makes a folder, `locked` for some work. A new one that stays empty is gone afterwards.

    Args:
        folder: The folder.
        work: Description of the work.

    Yields:
        None, while the folder is locked.

    Raises:
        MMParetoError: If the folder cannot be written to, or a process with other work holds it.
    """
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    make_folder(folder)
    try:
        with locked(folder, work):
            clear_leftovers(folder)
            yield
    finally:
        with suppress(OSError):  # of the first that holds anything
            for part in made:
                part.rmdir()
