"""Paths that others chose, kept inside one folder."""

from __future__ import annotations

from pathlib import Path

from mmpareto.errors import MMParetoError


def inside(root: Path, path: Path) -> Path:
    """Checks that a path does not lead out of a folder.

    It could do so by ``..``, by a symbolic link, or as an absolute path.

    Args:
        root: The folder.
        path: The path, relative to the working folder or absolute; nothing need be there.

    Returns:
        The path as it is.

    Raises:
        MMParetoError: If it does.

    Example:
        >>> inside(Path("data"), Path("data/a/../b.wav"))
        PosixPath('data/a/../b.wav')
    """
    try:
        resolved = path.resolve()
    # For circles of links, and for characters that no name can have.
    except (OSError, RuntimeError, ValueError) as error:
        raise MMParetoError(f"Files should be in {root}. Found {str(path)!r}: {error}.") from error
    if not resolved.is_relative_to(root.resolve()):
        raise MMParetoError(f"Files should be in {root}. Found {path}, which is {resolved}.")
    return path
