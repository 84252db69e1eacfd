"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmpareto.errors import MMParetoError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, or a crash, never meets half of it.

    Args:
        path: Where to; its folder exists.
        content: Text (stored as UTF-8) or bytes.

    Raises:
        MMParetoError: If the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be written. Found: {error.strerror}."
        ) from error


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
    """SHA-256 of the contents of those `files` that are there, in their order."""
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically."""
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def make_folder(path: Path) -> Path:
    """Makes `path` a folder that can be written to.

    Returns:
        The folder.

    Raises:
        MMParetoError: If that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        found = f"{path}: {error.strerror}"
        raise MMParetoError(
            f"Parameter `out` should be a folder to write to. Found {found}."
        ) from error
    return path
