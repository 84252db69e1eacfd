"""Folders that can be written to, private, and made through no planted link."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mmpareto.errors import MMParetoError


def make_folder(path: Path, setting: str = "Parameter `out`") -> Path:
    """Makes `path` a folder that can be written to; what is made is the user's alone.

    Args:
        path: The folder.
        setting: What the path comes from, for messages.

    Returns:
        The folder.

    Raises:
        MMParetoError: If that is not possible, or if the path leads through a link that another
            user made.
    """
    try:
        for part in (*reversed(path.parents), path):
            _check_link(part, setting)
            if not part.exists():
                part.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        found = f"{path}: {error.strerror}"
        raise MMParetoError(f"{setting} should be a folder to write to. Found {found}.") from error
    return path


def make_inside(folder: Path, *names: str) -> Path:
    """Makes a folder below one of results, through no link: folders that are sent may hold some.

    Args:
        folder: The folder of results.
        names: The folders on the way, the last one included.

    Returns:
        The folder.

    Raises:
        MMParetoError: If one of them is a link, or cannot be written to.
    """
    for name in names:
        folder /= name
        if folder.is_symlink():
            raise MMParetoError(
                f"{folder} should be a folder. Found a link, which leads out of the results. "
                "Delete it, or put the folder itself there."
            )
        make_folder(folder)
    return folder


def _check_link(path: Path, setting: str) -> None:
    if os.name == "posix" and path.is_symlink():
        owner = path.lstat().st_uid
        if owner not in (0, os.geteuid()):
            raise MMParetoError(
                f"{setting} should be a folder to write to. Found the link {path}, which another "
                f"user (number {owner}) made. Delete it, or choose another folder."
            )
