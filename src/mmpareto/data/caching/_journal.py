"""Arrays in one file, and beside it a journal that says what they are."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from mmpareto.data.caching._decoding import Decoded


@dataclass(frozen=True)
class Entry:
    """What became of one source.

    Args:
        source: Tells this state of this source from any other.
        reason: Why there is no array; empty if there is one.
        dtype: Of the array, as NumPy writes it.
        shape: Of the array.
        checksum: CRC-32 of the array's bytes.
        passing: Whether the reason may be gone the next time.
    """

    source: str
    reason: str = ""
    dtype: str = "|u1"
    shape: tuple[int, ...] = (0,)
    checksum: int = 0
    passing: bool = False

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """The entry in a line.

        Raises:
            ValueError: If there is none.
            TypeError: If there is none.
        """
        entry = cls(**json.loads(line))
        if (
            entry.line() != line
            or np.dtype(entry.dtype).hasobject
            or min(entry.shape, default=0) < 0
        ):
            raise ValueError
        return replace(entry, shape=tuple(entry.shape))

    def line(self) -> bytes:
        """The same as a line."""
        fields = {name: value for name, value in asdict(self).items() if name != "passing" or value}
        return json.dumps(fields).encode() + b"\n"

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def decoded(self, content: np.ndarray) -> Decoded:
        """The array, whose bytes begin `content`, or the reason why there is none."""
        return self.reason or content[: self.size].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Store:
    """A folder with a data file and its journal.

    Args:
        folder: The folder, which need not exist.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """Arrays, one after the other."""
        return self.folder / "data"

    @property
    def journal(self) -> Path:
        """For each source a line, in the order of the arrays."""
        return self.folder / "journal"

    def entries(self) -> list[Entry]:
        """What the journal says, up to the first line that says nothing."""
        entries = []
        try:
            with self.journal.open("rb") as lines:
                for line in lines:
                    entries.append(Entry.parse(line))  # noqa: PERF401  # what was read before an error counts
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
        return self.data.stat().st_size if self.data.exists() else 0

    def is_whole(self, sources: Sequence[str]) -> bool:
        """Whether it holds these sources, all of them, and nothing is cut off."""
        entries = self.entries()
        return [entry.source for entry in entries] == list(sources) and self.size == sum(
            entry.size for entry in entries
        )

    def intact(self) -> Iterator[tuple[Entry, Decoded]]:
        """The first entries, as long as the arrays' bytes are those that were written."""
        content = self.content()
        for entry in self.entries():
            stored = content[: entry.size]
            if len(stored) < entry.size or zlib.crc32(stored.data) != entry.checksum:
                return
            yield entry, entry.decoded(content)
            content = content[entry.size :]
