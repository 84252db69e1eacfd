"""Files that are either complete or absent, private, and never written through a planted link."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from mmpareto.errors import MMParetoError

_TEMPORARY = ".mmpareto-{}.tmp"
_LEFT_BEHIND = 60.0  # seconds after which a temporary file is nobody's
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, or a crash, never meets half of it.

    The file is the user's alone. A link in its place is replaced, not followed.

    Args:
        path: Where to; its folder exists.
        content: Text (stored as UTF-8) or bytes.

    Raises:
        MMParetoError: If the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(_TEMPORARY.format(secrets.token_hex(16)))
    try:
        try:
            _write_new(temporary, data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be written. Found: {error.strerror}."
        ) from error


def _write_new(path: Path, data: bytes) -> None:
    """Writes a file that did not exist, to the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def open_to_continue(path: Path) -> BinaryIO:
    """Opens a file of one's own to append to what an earlier process may have left in it.

    Args:
        path: The file, made if there is none; what is made is the user's alone.

    Raises:
        OSError: If it cannot be opened.
        MMParetoError: If it is a link, or has an owner or a name that others may have planted.
    """
    if path.is_symlink():  # where the system cannot refuse to follow it
        raise _planted(path)
    file = open(os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o600), "r+b")  # noqa: PTH123, SIM115
    state = os.fstat(file.fileno())
    is_ours = os.name != "posix" or state.st_uid == os.geteuid()
    if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1 or not is_ours:
        file.close()
        raise _planted(path)
    file.seek(0, os.SEEK_END)
    return file


def _planted(path: Path) -> MMParetoError:
    return MMParetoError(
        f"{path} should be a file that this program wrote. Found a link, or a file of another "
        "user. Delete it."
    )


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Deletes what a killed process left half-written in a folder."""
    for path in folder.glob(_TEMPORARY.format("*")):
        if time.time() - path.lstat().st_mtime > _LEFT_BEHIND:
            path.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Text of a UTF-8 file.

    Raises:
        MMParetoError: If the file cannot be read or is no UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")  # spreadsheets write a mark first
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be read. Found: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise MMParetoError(
            f"{path} should be UTF-8 text. Found other bytes at position {error.start}."
        ) from error


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of the contents of those `files` that exist, in their order."""
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically."""
    write_atomically(path, json.dumps(content, indent=2) + "\n")
