"""Appending to a store so that a kill leaves what was written before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from mmpareto._storage._files import open_to_continue
from mmpareto.data.caching._decoding import DecodingFailure, Outcome
from mmpareto.data.caching._journal import Entry, Store


class Writer:
    """Appends to a store; a context that leaves all of it on the disk.

    Args:
        store: What is appended to; its folder exists.
        kept: The store's first entries. What comes after them is cut off.
    """

    def __init__(self, store: Store, kept: Sequence[Entry]) -> None:
        self._data = open_to_continue(store.data)
        self._journal = open_to_continue(store.journal)
        _cut(self._data, sum(entry.size for entry in kept))
        _cut(self._journal, sum(len(entry.line()) for entry in kept))

    def __enter__(self) -> Writer:
        return self

    def append(self, source: str, outcome: Outcome) -> None:
        """Adds what became of a source."""
        if isinstance(outcome, DecodingFailure):
            entry = Entry(source, reason=outcome.reason, temporary=outcome.temporary)
            content = b""
        else:
            entry = Entry(source, dtype=outcome.dtype.str, shape=outcome.shape)
            content = outcome.tobytes()
            self._data.write(content)
            self._data.flush()  # so that the journal never says more than there is
        self._journal.write(entry.sealed(content).line())
        self._journal.flush()

    def __exit__(self, *error: object) -> None:
        with self._data, self._journal:
            for file in (self._data, self._journal):
                file.flush()
                os.fsync(file.fileno())


def _cut(file: BinaryIO, size: int) -> None:
    """Makes `size` bytes all that a file has, and writes on from there."""
    file.truncate(size)
    file.seek(size)
