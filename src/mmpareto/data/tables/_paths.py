"""Files that cells name: whether they are there, and which one is meant if not."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from pathlib import Path

from mmpareto.data.media._inside import inside
from mmpareto.data.tables._contents import Fault
from mmpareto.errors import MMParetoError


class Files:
    """The files in a folder.

    Args:
        root: The folder, where relative paths begin.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries: dict[Path, dict[str, str]] = {}

    def fault(self, column: str, cell: str) -> Fault | None:
        """Why the file that a cell names cannot be used; None if it can be.

        Args:
            column: Name of the column.
            cell: Path of the file.
        """
        try:
            exists = inside(self.root, self.root / cell).exists()
        except MMParetoError as error:
            remedy = "State their folder as --data.root"
            return Fault(f"column `{column}`: {error} {remedy}", f"{column}: outside")
        except OSError:  # a name longer than any can be
            exists = False
        if exists:
            return None
        reason, cause = self._missing(cell)
        return Fault(f"column `{column}`: no file {cell}{reason}", f"{column}: {cause}")

    def _missing(self, cell: str) -> tuple[str, str]:
        """What there is in place of a missing file, and what such files have in common."""
        near = self._nearest(cell)
        if near is not None:
            difference = _difference(near, cell)
            return f", but there is {near}, which differs by {difference}", difference
        first, *others = cell.split("/")
        if others and not (self.root / first).exists():
            reason = f", nor a folder {first} in {self.root}: state the right one as --data.root"
            return reason, "no folder"
        return "", "no file"

    def _nearest(self, cell: str) -> str | None:
        """The file whose name differs by slashes, Unicode's form or case alone."""
        path = self.root
        for step in cell.replace("\\", "/").split("/"):
            name = self._levelled(path).get(_level(step))
            if name is None:
                return None
            path = path / name
        return path.relative_to(self.root).as_posix()

    def _levelled(self, folder: Path) -> dict[str, str]:
        """The entries of a folder by their levelled names."""
        if folder not in self._entries:
            entries = self._entries[folder] = {}
            with suppress(OSError):
                for entry in folder.iterdir():
                    entries[_level(entry.name)] = entry.name
        return self._entries[folder]


def _difference(near: str, cell: str) -> str:
    if near == cell.replace("\\", "/"):
        return "backslashes"
    if unicodedata.normalize("NFC", near) == unicodedata.normalize("NFC", cell):
        return "the form of its accents in Unicode"
    return "upper and lower case"


def _level(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
