"""Types of columns, and the ends of files' names that belong to them."""

from __future__ import annotations

from typing import NamedTuple

FILES = {
    "image": ".jpg .jpeg .jfif .png .bmp .gif .webp .avif .tif .tiff .ppm .pgm",
    "audio": ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff",
    "video": ".mp4 .avi .mkv .mov .webm .flv .mpg .mpeg .m4v .wmv",
    "array": ".npy",
}
"""Types whose cells are paths, and the ends of these paths."""

FOREIGN = {
    "HEIC": ".heic .heif",
    "DICOM": ".dcm .dicom",
    "NIfTI": ".nii .nii.gz",
    "PDF": ".pdf",
    "raw camera": ".cr2 .nef .arw .dng",
}
"""Formats that are not read, and the ends of their files."""

CELLS = ("number", "category")
"""Types of which any number of columns make one modality."""

TYPES = (*FILES, "text", *CELLS, "ignore")

MOST = 0.75
"""Share of a column's cells that says what the column is."""


class ColumnType(NamedTuple):
    """A type, and how it came about."""

    kind: str
    why: str


def is_majority(hits: float, total: float) -> bool:
    """Whether so many cells of a total say what a column is."""
    return total > 0 and hits >= MOST * total
