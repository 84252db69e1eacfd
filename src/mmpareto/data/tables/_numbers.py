"""Numbers in columns of text: as programs write them, and as people do."""

from __future__ import annotations

import numpy as np
import pyarrow
from pyarrow import compute

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_LARGEST = 1e38
"""Beyond that single precision has no numbers."""

_BEFORE = r"^([+-]?)\s*(?:\p{Sc}|[A-Z]{3}\s)\s*"
_BEHIND = r"\s*(?:%|\p{Sc}|°?\p{L}{1,4}(?:/\p{L}{1,3})?)$"
_GROUPING = r"[\s\x{a0}\x{202f}'\x{2019}](\d{3})"
_DECIMAL_COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+,\d+|\d*,(\d{1,2}|\d{4,}))$"


def plain_numbers(column: pyarrow.StringArray) -> np.ndarray:
    """The numbers in a column as programs write them.

    Args:
        column: Text, N cells.

    Returns:
        float64 [N]; NaN where there is no number, none that is finite, or none that single
        precision can hold.

    Example:
        >>> plain_numbers(pyarrow.array(["1e3", "-0.5", "inf", "1_000", None])).tolist()
        [1000.0, -0.5, nan, nan, nan]
    """
    try:
        values = compute.cast(column, pyarrow.float64())
    except pyarrow.ArrowInvalid:
        is_plain = compute.match_substring_regex(column, _PLAIN)
        kept = compute.if_else(is_plain, column, pyarrow.scalar(None, pyarrow.string()))
        values = compute.cast(kept, pyarrow.float64())
    numbers = np.array(values.to_numpy(zero_copy_only=False), np.float64)
    numbers[~(np.abs(numbers) < _LARGEST)] = np.nan
    return numbers


def written_numbers(column: pyarrow.StringArray, decimal_comma: bool | None = None) -> np.ndarray:
    """The numbers in a column as people write them, too.

    That is with separators of thousands, a decimal comma, a percent sign, a currency, a unit, or
    another minus sign. A comma is a decimal one if that is the only way to read some cell.

    Args:
        column: Text, N cells.
        decimal_comma: Whether a comma is a decimal one; None to find out.

    Returns:
        float64 [N], as from `plain_numbers`.

    Example:
        >>> written_numbers(pyarrow.array(["1,234.50", "$2", "70 kg", "5%"])).tolist()
        [1234.5, 2.0, 70.0, 5.0]
        >>> written_numbers(pyarrow.array(["1.234,50", "3,5 %", "1,500"])).tolist()
        [1234.5, 3.5, 1.5]
    """
    text = _bare(column)
    if has_decimal_comma(column) if decimal_comma is None else decimal_comma:
        text = compute.replace_substring_regex(text, r"\.(\d{3})", r"\1")
        text = compute.replace_substring(text, ",", ".")
    else:
        text = compute.replace_substring_regex(text, r",(\d{3})", r"\1")
    plain = plain_numbers(column)
    return np.where(np.isnan(plain), plain_numbers(text), plain)


def has_decimal_comma(column: pyarrow.StringArray) -> bool:
    """Whether a cell of a column can only be read with a decimal comma.

    Example:
        >>> has_decimal_comma(pyarrow.array(["1,500", "3,5 %"]))
        True
    """
    return bool(compute.any(compute.match_substring_regex(_bare(column), _DECIMAL_COMMA)).as_py())


def _bare(column: pyarrow.StringArray) -> pyarrow.StringArray:
    """Cells without what people write around numbers."""
    text = compute.replace_substring(column, "\N{MINUS SIGN}", "-")
    text = compute.replace_substring_regex(text, _BEFORE, r"\1")
    text = compute.replace_substring_regex(text, _BEHIND, "")
    return compute.replace_substring_regex(text, _GROUPING, r"\1")
