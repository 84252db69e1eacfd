"""Files that stand in the place of others: what they are, and how to get the right ones."""

from __future__ import annotations

from pathlib import Path

_LOOKED_AT = 512
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def impostor(path: Path) -> str | None:
    """What a file that cannot be decoded is, where its first bytes say so.

    Args:
        path: The file.

    Returns:
        One line without the file's path; None where nothing is known.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start:
        return "is empty"
    if start.startswith(_POINTER):
        return "is a Git LFS pointer in place of the file; run git lfs pull"
    if start.lstrip().lower().startswith(_PAGES):
        return "is a web page or XML in place of the file; download it again"
    return None
