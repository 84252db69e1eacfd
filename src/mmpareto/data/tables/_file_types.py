"""Cells that name files: of which type these are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mmpareto.data.media._types import FILES, FOREIGN
from mmpareto.data.tables._columns import ColumnType, is_majority
from mmpareto.errors import MMParetoError

# One word and an ending with a letter; but no address, and no number with a unit.
_FILE = re.compile(
    r"(?!\w+://|www\.|[^/]*@|[\W\d]*\d[.,]\d\w*$)"
    r"\S+\.(?!(?:com|net|org)$)(?=\d*[a-z])[a-z0-9]{2,5}",
    re.IGNORECASE,
)


def guess_files(counts: Mapping[str, int], folder: Path, name: str) -> ColumnType | None:
    """The type of the files that cells name.

    Args:
        counts: How often each cell occurs.
        folder: Where relative paths begin.
        name: Name of the column.

    Returns:
        The type; None where most cells name no files.

    Raises:
        MMParetoError: If most name files, but of no one type.
    """
    total = sum(counts.values())
    for kind, ends in FILES.items():
        hits = _hits(counts, partial(has_end, ends))
        if is_majority(hits, total):
            return ColumnType(kind, f"{hits} of {total} cells end like {kind} files")
    folders = _hits(counts, lambda cell: _on_disk(folder / cell) == "folder")
    if is_majority(folders, total):
        return ColumnType("video", f"{folders} of {total} cells are folders, of frames")

    def is_file(cell: str) -> bool:
        return is_known(cell) or bool(_FILE.fullmatch(cell)) or _on_disk(folder / cell) == "file"

    if not is_majority(_hits(counts, is_file), total):
        return None
    for known, ends in FOREIGN.items():
        foreign = list(filter(partial(has_end, ends), counts))
        if is_majority(len(foreign), len(counts)):
            raise MMParetoError(
                f"Column `{name}` should name files that can be read. Found {known} files, such as "
                f"'{foreign[0]}': convert them, pictures to PNG or JPEG and volumes to .npy, or "
                f"state `types: {{{name}: ignore}}`."
            )
    unknown = [cell for cell in counts if not is_known(cell) and is_file(cell)]
    example = (unknown or list(counts))[0]
    raise without_type(name, f"files that are not of one known type, such as '{example}'", "image")


def has_end(ends: str, cell: str) -> bool:
    """Whether a cell is a path that ends like files of a type; addresses of the web are none.

    Example:
        >>> has_end(".png .jpg", "a/B.PNG"), has_end(".png", "https://a.org/b.png")
        (True, False)
    """
    name = cell.rpartition("/")[2].lower()
    return "://" not in cell and name.endswith(tuple(ends.split())) and name[0] != "."


def is_known(cell: str) -> bool:
    """Whether a cell is a path that ends like files of some type."""
    return has_end(" ".join(FILES.values()), cell)


def _hits(counts: Mapping[str, int], is_hit: Callable[[str], bool]) -> int:
    """How many cells are hits, given how often each occurs."""
    return sum(count for cell, count in counts.items() if is_hit(cell))


def _on_disk(path: Path) -> str:
    try:
        if path.is_dir():
            return "folder"
        return "file" if path.is_file() else ""
    except (OSError, ValueError):  # a text may be longer than a name can be
        return ""


def without_type(name: str, found: str, kind: str) -> MMParetoError:
    """What to raise about a column whose type has to be stated."""
    stated = f"`types: {{{name}: {kind}}}` or `types: {{{name}: ignore}}`"
    return MMParetoError(
        f"Column `{name}` should have a type. Found {found}. State it with {stated}."
    )
