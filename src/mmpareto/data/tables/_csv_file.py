"""The text of a CSV file, and how its cells are divided."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from mmpareto.errors import MMParetoError

_DELIMITERS = ",;\t"
_LONGEST = 2**31 - 1
_BLANK_LINES = re.compile(rb"(?:[ \t\r]*\n)*")
_EXCEL = re.compile(rb"sep=(.)\r?\n", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class CsvFile:
    """The bytes of a CSV file from its header on, and how they are divided."""

    path: Path
    data: bytes
    delimiter: str
    header: list[str]
    line: int


def open_csv(path: Path) -> CsvFile:
    data, line = _utf8(path), 1
    start = _BLANK_LINES.match(data)
    if start is not None:
        line += start[0].count(b"\n")
        data = data[start.end() :]
    if not data.strip():
        raise MMParetoError(f"{path} should hold a header and rows below it. Found an empty file.")
    excel = _EXCEL.match(data)
    if excel is not None:
        line, data = line + 1, data[excel.end() :]
    first = re.split(r"[\r\n]", data[:65_536].decode(errors="ignore"), maxsplit=1)[0]
    delimiter = excel[1].decode() if excel is not None else max(_DELIMITERS, key=first.count)
    if not data.endswith((b"\n", b"\r")):  # Arrow fails at a header without an end
        data += b"\n"
    if data.count(b'"') % 2:
        _check_quotes(path, data.decode(), delimiter)
    lines = io.StringIO(data[: 2**24].decode(errors="ignore"), newline="")
    header = next(csv.reader(lines, delimiter=delimiter))
    return CsvFile(path, data, delimiter, list(map(str.strip, header)), line)


def _utf8(path: Path) -> bytes:
    """The text of a file in UTF-8.

    Raises:
        MMParetoError: If it is no text, or in another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MMParetoError(
            f"{path} should be a file that can be read. Found: {error.strerror}."
        ) from error
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = data.decode("utf-16").encode()
        data = data.removeprefix(b"\xef\xbb\xbf")
        data.decode()
        position = data.find(b"\0")  # as in UTF-16 without a mark
    except UnicodeDecodeError as error:
        position = error.start
    if position >= 0:
        found = f"other bytes at position {position}; save it as CSV UTF-8"
        raise MMParetoError(f"{path} should be UTF-8 text. Found {found}.")
    return data


def _check_quotes(path: Path, text: str, delimiter: str) -> None:
    """Raises if a quoted cell is never closed; Arrow takes the rest of the file for its text."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    longest = csv.field_size_limit(_LONGEST)  # of the whole program
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        raise MMParetoError(
            f"{path} should be a CSV file. Found in line {reader.line_num}: {error}."
        ) from error
    finally:
        csv.field_size_limit(longest)
