"""Columns of text as Arrow arrays: trimmed, and null where a cell is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pyarrow
from pyarrow import compute

from mmpareto.data.tables._settings import MISSING

_WHOLE = r"^-?\d+(\.0*)?$"
_COMMA = r"^[+-]?(\d+|\d*,\d+)([eE][+-]?\d+)?$"
_LOOKED_AT = 64


class Unfit(ValueError):  # noqa: N818  # says what was found, as a cell
    """A value cannot be a cell. The message says what was found."""


def make_column(
    cells: Sequence[str | None] | pyarrow.Array, missing: Sequence[str] = MISSING
) -> pyarrow.StringArray:
    """Cells without spaces around them, and null where they are empty or say that they are missing.

    Example:
        >>> make_column([" a", "", "NA", "Nan", None]).to_pylist()
        ['a', None, None, 'Nan', None]
    """
    text = compute.utf8_trim_whitespace(pyarrow.array(cells, pyarrow.string()))
    words = pyarrow.array(["", *missing], pyarrow.string())
    absent = compute.is_in(text, value_set=words)
    if not compute.any(absent).as_py():
        return text
    return compute.if_else(absent, pyarrow.scalar(None, pyarrow.string()), text)


def counted(column: pyarrow.StringArray) -> dict[str, int]:
    """How often each text occurs, in the order of first occurrence; null does not count."""
    pairs = compute.value_counts(column.drop_null())
    names, counts = pairs.field("values"), pairs.field("counts")
    return dict(zip(names.to_pylist(), counts.to_pylist(), strict=True))


def matches_all(column: pyarrow.StringArray, pattern: str) -> bool:
    """Whether every text that is there matches; often the first ones say that it is not so."""
    for part in (column[:_LOOKED_AT], column):
        if not compute.all(compute.match_substring_regex(part, pattern), min_count=0).as_py():
            return False
    return True


def without_points(column: pyarrow.StringArray) -> pyarrow.StringArray:
    """The column without ``.0`` if it holds whole numbers alone.

    Example:
        >>> without_points(pyarrow.array(["1.0", "-2", None])).to_pylist()
        ['1', '-2', None]
    """
    if not matches_all(column, _WHOLE):
        return column
    return compute.replace_substring_regex(column, r"\..*$", "")


def with_points(column: pyarrow.StringArray) -> pyarrow.StringArray:
    """The column with decimal points if it holds numbers alone, some with a decimal comma.

    Example:
        >>> with_points(pyarrow.array(["3,5", "4"])).to_pylist()
        ['3.5', '4']
        >>> with_points(pyarrow.array(["3,5", "x,y"])).to_pylist()
        ['3,5', 'x,y']
    """
    return compute.replace_substring(column, ",", ".") if matches_all(column, _COMMA) else column


def make_cell(value: Any) -> str | None:
    """A value of Python's as text.

    Raises:
        Unfit: If it cannot be.

    Example:
        >>> [make_cell(value) for value in (None, 3.0, 0.5, ["a", "b"], " text ")]
        [None, '3', '0.5', 'a;b', 'text']
    """
    if value is None:
        return None
    if isinstance(value, bytes | dict | tuple):
        raise Unfit(f"{type(value).__name__}; keep files beside the table and their paths in it")
    if isinstance(value, list):
        return ";".join(make_cell(item) or "" for item in value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    return str(value).strip()


def mask_quoted(reason: str) -> str:
    """A reason without what is quoted in it: what many rows' reasons have in common.

    Example:
        >>> mask_quoted("label 'old' is no number")
        "label '...' is no number"
    """
    return re.sub(r"'[^']*'", "'...'", reason)
