"""Appending to a store so that a kill leaves what was written before."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence

import numpy as np

from mmpareto.data.caching._decoding import DecodingFailure, Outcome
from mmpareto.data.caching._journal import Entry, Store


class Writer:
    """Appends to a store; a context that leaves all of it on the disk.

    Args:
        store: What is appended to; its folder exists.
        kept: The store's first entries. What comes after them is cut off.
    """

    def __init__(self, store: Store, kept: Sequence[Entry]) -> None:
        self._data, self._journal = store.data.open("ab"), store.journal.open("ab")
        self._data.truncate(sum(entry.size for entry in kept))
        self._journal.truncate(sum(len(entry.line()) for entry in kept))

    def __enter__(self) -> Writer:
        return self

    def append(self, source: str, outcome: Outcome) -> None:
        """Adds what became of a source."""
        if isinstance(outcome, DecodingFailure):
            entry = Entry(source, reason=outcome.reason, temporary=outcome.temporary)
        else:
            entry = self._write(source, outcome)
        self._journal.write(entry.line())
        self._journal.flush()

    def _write(self, source: str, array: np.ndarray) -> Entry:
        """Adds an array to the data file."""
        content = array.tobytes()
        self._data.write(content)
        self._data.flush()  # so that the journal never says more than there is
        checksum = zlib.crc32(content)
        return Entry(source, dtype=array.dtype.str, shape=array.shape, checksum=checksum)

    def __exit__(self, *error: object) -> None:
        with self._data, self._journal:
            for file in (self._data, self._journal):
                file.flush()
                os.fsync(file.fileno())
