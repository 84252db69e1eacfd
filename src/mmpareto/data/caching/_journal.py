"""Arrays in one file, and beside it a journal that says what they are."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from mmpareto.data.caching._decoding import DecodingFailure, Outcome


@dataclass(frozen=True)
class Entry:
    """What became of one source.

    Args:
        source: Text that tells this state of this source from any other.
        reason: Why there is no array; empty if there is one.
        dtype: Data type of the array, as NumPy writes it.
        shape: Shape of the array.
        checksum: CRC-32 of the array's bytes and of all the above.
        temporary: Whether the reason may be gone the next time.
    """

    source: str
    reason: str = ""
    dtype: str = "|u1"
    shape: tuple[int, ...] = (0,)
    checksum: int = 0
    temporary: bool = False

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """The entry in a line of a journal.

        Raises:
            ValueError: If there is none.
            TypeError: If there is none.
        """
        fields = {**json.loads(line)}
        entry = cls(temporary=fields.pop(_TEMPORARY, False), **fields)
        if entry.line() != line or np.dtype(entry.dtype).hasobject:
            raise ValueError
        if min(entry.shape, default=0) < 0:
            raise ValueError
        return replace(entry, shape=tuple(entry.shape))

    def sealed(self, content: bytes | memoryview) -> Entry:
        """The entry with the checksum that it has if `content` are the array's bytes."""
        described = repr((self.source, self.reason, self.dtype, self.shape, self.temporary))
        checksum = zlib.crc32(described.encode(errors="surrogateescape"), zlib.crc32(content))
        return replace(self, checksum=checksum)

    def line(self) -> bytes:
        """The line of a journal that `parse` reads."""
        fields = asdict(self)
        if fields.pop("temporary"):
            fields[_TEMPORARY] = True
        return json.dumps(fields).encode() + b"\n"

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def outcome(self, content: np.ndarray) -> Outcome:
        """The array, whose bytes are the first of `content`, or why there is none."""
        if self.reason:
            return DecodingFailure(self.reason, self.temporary)
        return content[: self.size].view(self.dtype).reshape(self.shape)


_TEMPORARY = "passing"
"""Name of `Entry.temporary` in journals; it is there only if true."""


@dataclass(frozen=True)
class Store:
    """A folder with a data file and its journal.

    Args:
        folder: Path of the folder, which need not exist.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """File of the arrays, one after the other."""
        return self.folder / "data"

    @property
    def journal(self) -> Path:
        """File with a line for each source, in the order of the arrays."""
        return self.folder / "journal"

    def entries(self) -> list[Entry]:
        """What the journal says, up to the first line that is damaged."""
        entries = []
        try:
            with self.journal.open("rb") as lines:
                for line in lines:
                    entries.append(Entry.parse(line))  # noqa: PERF401  # lines before a damaged one count
        except (OSError, ValueError, TypeError):
            pass
        return entries

    def content(self) -> np.ndarray:
        """The data file's bytes, uint8, each read when it is used."""
        if self.size == 0:
            return np.zeros(0, np.uint8)
        return np.memmap(self.data, np.uint8, "r").view(np.ndarray)

    @property
    def size(self) -> int:
        """Bytes of the data file."""
        return _length(self.data)

    def is_complete(self, sources: Sequence[str]) -> bool:
        """Whether it holds exactly these sources, and every byte is the one that was written."""
        entries = self.entries()
        if [entry.source for entry in entries] != list(sources):
            return False
        if self.size != sum(entry.size for entry in entries):
            return False
        if _length(self.journal) != sum(len(entry.line()) for entry in entries):
            return False
        return sum(1 for _ in self.intact()) == len(entries)

    def intact(self) -> Iterator[tuple[Entry, Outcome]]:
        """The first entries, as long as the arrays' bytes are those that were written."""
        content = self.content()
        for entry in self.entries():
            stored = content[: entry.size]
            if len(stored) < entry.size or entry.sealed(stored.data) != entry:
                return
            yield entry, entry.outcome(content)
            content = content[entry.size :]


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
