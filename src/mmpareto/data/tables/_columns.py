"""What a column of cells holds: guessed from the cells, or stated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmpareto.data.tables._table import Table
from mmpareto.errors import MMParetoError

FILES = {
    "image": ".jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm",
    "audio": ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff",
    "video": ".mp4 .avi .mkv .mov .webm .flv .mpg .mpeg .m4v .wmv",
    "array": ".npy",
}
"""Types whose cells are paths, and the ends of these paths."""

CELLS = ("number", "category")
"""Types of which any number of columns make one modality."""

TYPES = (*FILES, "text", *CELLS, "ignore")

_ENDS = {end: kind for kind, ends in FILES.items() for end in ends.split()}
_MOST = 0.75
_LONGEST, _CATEGORIES = 40, 100
_FILE = re.compile(  # one word and an ending with a letter; but no address, and no number with a unit
    r"(?!\w+://|www\.|[^/]*@|[\W\d]*\d[.,]\d\w*$)\S+\.(?!(?:com|net|org)$)(?=\d*[a-z])[a-z0-9]{2,5}",
    re.IGNORECASE,
)


class Typed(NamedTuple):
    """A type, and how it came about."""

    kind: str
    why: str


def parse_number(cell: str) -> float | None:
    """The number in a cell; None where it is none, is not finite, or beyond what single precision holds.

    Example:
        >>> [parse_number(cell) for cell in ("1e3", "-0.5", "inf", "1_000", "five")]
        [1000.0, -0.5, None, None, None]
    """
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < 1e38 and "_" not in cell else None


def most(hits: int, cells: Sequence[str]) -> bool:
    """Whether so many cells are enough to say what a column is."""
    return hits >= _MOST * len(cells)


def repeat(cells: Sequence[str]) -> bool:
    """Whether a few values come again and again: each twice on average, and no more than a hundred."""
    return len(set(cells)) <= min(len(cells) / 2, _CATEGORIES)


def guess(cells: Sequence[str], folder: Path, name: str = "") -> Typed:
    """What cells hold.

    Args:
        cells: Of one column.
        folder: Where relative paths begin.
        name: Of the column.

    Returns:
        The type that three quarters of the cells that are not empty agree with: files by the ends
        of their names (a folder is a video's frames), numbers, categories (short and repeated),
        else text.

    Raises:
        MMParetoError: If so many look like files, but of no one type, or are lists of numbers.

    Example:
        >>> guess(["a.wav", "", "b.WAV"], Path())
        Typed(kind='audio', why='2 of 2 cells end like audio files')
        >>> guess(["red", "blue", "red", "blue"], Path()).kind
        'category'
    """
    filled = [cell for cell in cells if cell]
    if not filled:
        return Typed("ignore", "all cells are empty")
    ends = Counter(map(_kind_of_end, filled))
    for kind in FILES:
        if most(ends[kind], filled):
            return Typed(kind, f"{ends[kind]} of {len(filled)} cells end like {kind} files")
    if (numbers := sum(parse_number(cell) is not None for cell in filled)) and most(
        numbers, filled
    ):
        return Typed("number", f"{numbers} of {len(filled)} cells are numbers")
    found = {cell: _found(folder / cell) for cell in set(filled)}
    if most(folders := sum(found[cell] == "folder" for cell in filled), filled):
        return Typed("video", f"{folders} of {len(filled)} cells are folders, of frames")
    files = [
        cell
        for cell in filled
        if found[cell] == "file" or _kind_of_end(cell) or _FILE.fullmatch(cell)
    ]
    if most(len(files), filled):
        example = next((cell for cell in files if not _kind_of_end(cell)), files[0])
        raise _untyped(name, f"files that are not of one known type, such as '{example}'", "image")
    values = len(set(filled))
    if repeat(filled) and max(map(len, filled)) <= _LONGEST:
        return Typed("category", f"{values} short values in {len(filled)} cells")
    if most(len(lists := list(filter(_is_list, filled))), filled):
        shown = f"'{lists[0]:.40}'; keep them as .npy files and their paths in the column"
        raise _untyped(name, f"lists of numbers, such as {shown}", "text")
    return Typed("text", f"{values} different values in {len(filled)} cells")


def _kind_of_end(cell: str) -> str:
    return _ENDS.get(Path(cell).suffix.lower(), "")


def _found(path: Path) -> str:
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else ""
    except OSError:  # a text may be longer than a name can be
        return ""


def _is_list(cell: str) -> bool:
    parts = re.split(r"[,;\s]+", cell.strip("[] ")) if cell.startswith("[") else cell.split(";")
    return (
        len(parts) > 1
        and any(parts)
        and all(not part or parse_number(part) is not None for part in parts)
    )


def _untyped(name: str, found: str, kind: str) -> MMParetoError:
    stated = f"`types: {{{name}: {kind}}}` or `types: {{{name}: ignore}}`"
    return MMParetoError(
        f"Column `{name}` should have a type. Found {found}. State it with {stated}."
    )


def column_types(
    table: Table, used: set[str], stated: Mapping[str, str], folder: Path
) -> dict[str, Typed]:
    """Types of the columns that are not `used` otherwise.

    Raises:
        MMParetoError: If a type is stated that does not exist, or for a column that does not; if a
            column that is not to be ignored cannot be read, or has no type.
    """
    for name, kind in stated.items():
        if name not in table.columns or name in used:
            free = ", ".join(name for name in table.columns if name not in used)
            raise MMParetoError(
                f"Parameter `data.types` should be about the columns {free}. Found `{name}`."
            )
        if kind not in TYPES:
            raise MMParetoError(
                f"Parameter `data.types` should be of {', '.join(TYPES)}. Found {name}: '{kind}'."
            )
    for name, found in table.unfit.items():
        if stated.get(name) != "ignore":
            remedy = "" if name in used else f". Or state `types: {{{name}: ignore}}`"
            raise MMParetoError(
                f"{table.path}, column `{name}`, should be of text or numbers. Found "
                f"{found}{remedy}."
            )
    return {
        name: Typed(stated[name], "stated") if name in stated else guess(cells, folder, name)
        for name, cells in table.columns.items()
        if name not in used
    }
