"""Paths that others chose, in lists and archives, kept inside one folder."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple

from mmpareto.errors import MMParetoError


def inside(root: Path, path: Path) -> Path:
    """Checks that a path does not lead out of a folder, by ``..``, by a symbolic link or as an absolute path.

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
        found = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # circles of links; characters that no name can have
        raise MMParetoError(f"Files should be in {root}. Found {str(path)!r}: {error}.") from error
    if not found.is_relative_to(root.resolve()):
        raise MMParetoError(f"Files should be in {root}. Found {path}, which is {found}.")
    return path


class _Member(NamedTuple):
    name: str
    kind: str  # "file", "folder", or what it is instead
    open: Callable[[], IO[bytes] | None]


def extract(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar archive, all of it or nothing.

    Args:
        archive: The archive, whose format is found from its content.
        folder: Made anew; must not be there.

    Raises:
        MMParetoError: If a member would be written outside of the folder, is a link or a device; if the archive is
            damaged or none; if the folder is there or cannot be written.
    """
    if folder.exists():
        raise MMParetoError(f"Parameter `folder` should not be there yet. Found {folder}.")
    try:
        with _members(archive) as members, tempfile.TemporaryDirectory(dir=folder.parent) as place:
            for member in members:
                _check(archive, member)
            for member in members:
                _write(member, Path(place) / "all" / member.name)
            (Path(place) / "all").rename(folder)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        raise MMParetoError(
            f"{archive} should be a zip or tar archive to unpack into {folder}. Found: {error}"
        ) from error


def _check(archive: Path, member: _Member) -> None:
    path = PureWindowsPath(member.name)  # which takes both kinds of slashes, and drives, for what they are
    if path.anchor or ".." in path.parts:
        raise MMParetoError(f"Members of {archive} should stay inside it. Found the path {member.name!r}.")
    if member.kind not in ("file", "folder"):
        raise MMParetoError(
            f"Members of {archive} should be files and folders. Found {member.name!r}, a {member.kind}."
        )


def _write(member: _Member, path: Path) -> None:
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None  # as tarfile has it for folders and links
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield [_Member(info.filename, _zip_kind(info), partial(zipped.open, info)) for info in zipped.infolist()]
    else:
        with tarfile.open(archive) as tarred:
            yield [_Member(info.name, _tar_kind(info), partial(tarred.extractfile, info)) for info in tarred]


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "symbolic link"
    if info.is_dir():
        return "folder"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "device"


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "symbolic link" if info.issym() else "hard link"
    if info.isdir():
        return "folder"
    return "file" if info.isfile() else "device"
