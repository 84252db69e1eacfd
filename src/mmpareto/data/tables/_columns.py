"""What a column of cells holds: guessed from the cells, or stated."""

from __future__ import annotations

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


def guess(cells: Sequence[str], folder: Path) -> Typed:
    """What cells hold.

    Args:
        cells: Of one column.
        folder: Where relative paths begin.

    Returns:
        The type that three quarters of the cells that are not empty agree with: files by the ends of their names (a
        folder is a video's frames), numbers, categories (short and repeated), else text.

    Example:
        >>> guess(["a.wav", "", "b.WAV"], Path())
        Typed(kind='audio', why='2 of 2 cells end like audio files')
        >>> guess(["red", "blue", "red", "blue"], Path()).kind
        'category'
    """
    filled = [cell for cell in cells if cell]
    if not filled:
        return Typed("ignore", "all cells are empty")
    ends = Counter(_ENDS.get(Path(cell).suffix.lower(), "") for cell in filled)
    for kind in FILES:
        if most(ends[kind], filled):
            return Typed(kind, f"{ends[kind]} of {len(filled)} cells end like {kind} files")
    if (numbers := sum(parse_number(cell) is not None for cell in filled)) and most(numbers, filled):
        return Typed("number", f"{numbers} of {len(filled)} cells are numbers")
    values = len(set(filled))
    if repeat(filled) and max(map(len, filled)) <= _LONGEST:
        return Typed("category", f"{values} short values in {len(filled)} cells")
    if all(_is_folder(folder / cell) for cell in filled):
        return Typed("video", f"{len(filled)} of {len(filled)} cells are folders, of frames")
    return Typed("text", f"{values} different values in {len(filled)} cells")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a text may be longer than a name can be
        return False


def column_types(table: Table, used: set[str], stated: Mapping[str, str], folder: Path) -> dict[str, Typed]:
    """Types of the columns that are not `used` otherwise.

    Raises:
        MMParetoError: If a type is stated that does not exist, or for a column that does not.
    """
    for name, kind in stated.items():
        if name not in table.columns or name in used:
            free = ", ".join(name for name in table.columns if name not in used)
            raise MMParetoError(f"Parameter `data.types` should be about the columns {free}. Found `{name}`.")
        if kind not in TYPES:
            raise MMParetoError(f"Parameter `data.types` should be of {', '.join(TYPES)}. Found {name}: '{kind}'.")
    return {
        name: Typed(stated[name], "stated") if name in stated else guess(cells, folder)
        for name, cells in table.columns.items()
        if name not in used
    }
