"""How a store is filled: what is known already is taken over, the rest decoded."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import takewhile

import numpy as np

from mmpareto.data.caching._decoding import Decoded, Decoder, Passing, Source, decode_all
from mmpareto.data.caching._journal import Entry, Store
from mmpareto.data.caching._place import remove_unless_held


def state_of(source: Source) -> str:
    """A source's name and all that is seen of its content from outside."""
    try:
        files = [source.path, *(source.path.iterdir() if source.path.is_dir() else ())]
        stats = [file.stat() for file in files]
        readable = os.access(source.path, os.R_OK)
    except (OSError, ValueError):  # of a name that no file can have
        return f"{source.name}: missing"
    size, changed = sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    return f"{source.name}: {len(files)} files, {size} bytes, {changed} ns{'' if readable else ', locked'}"


def build(
    store: Store,
    sources: Sequence[Source],
    states: Sequence[str],
    decoder: Decoder,
    workers: int,
    tell: Callable[[int], None],
) -> None:
    """Makes a store, beside which there are only those that somebody holds then."""
    part = Store(store.folder.with_suffix(".part"))
    part.folder.mkdir(exist_ok=True)
    as_before = takewhile(
        lambda pair: pair[0][0].source == pair[1], zip(part.intact(), states, strict=False)
    )
    kept = [entry for (entry, _), _ in as_before]
    rest = dict(zip(range(len(kept), len(states)), states[len(kept) :], strict=True))
    others = [
        Store(path)
        for path in store.folder.parent.iterdir()
        if path.is_dir() and path != part.folder
    ]
    wanted = set(rest.values())
    known = {
        entry.source: item
        for other in others
        for entry, item in other.intact()
        if entry.source in wanted and not entry.passing
    }
    paths = [sources[number].path for number, state in rest.items() if state not in known]
    with Writer(part, kept) as writer, closing(decode_all(decoder, paths, workers)) as decoded:
        for number, state in rest.items():
            tell(number)
            writer.append(state, known[state] if state in known else next(decoded))
        tell(len(states))
    old = store.folder.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if store.folder.exists():
        store.folder.rename(old)  # who has it open finds the same items in the new one
    part.folder.rename(store.folder)
    shutil.rmtree(old, ignore_errors=True)
    for other in others:
        if other.folder not in (store.folder, old):
            remove_unless_held(other.folder, other.journal)


class Writer:
    """Appends to a store; a context that leaves all of it on the disk.

    Args:
        store: To append to; its folder exists.
        kept: The store's first entries. What comes after them is cut off.
    """

    def __init__(self, store: Store, kept: Sequence[Entry]) -> None:
        self._data, self._journal = store.data.open("ab"), store.journal.open("ab")
        self._data.truncate(sum(entry.size for entry in kept))
        self._journal.truncate(sum(len(entry.line()) for entry in kept))

    def __enter__(self) -> Writer:
        return self

    def append(self, source: str, decoded: Decoded) -> None:
        """Adds what became of a source."""
        if isinstance(decoded, str):
            entry = Entry(source, reason=str(decoded), passing=isinstance(decoded, Passing))
        else:
            entry = self._write(source, decoded)
        self._journal.write(entry.line())
        self._journal.flush()

    def _write(self, source: str, array: np.ndarray) -> Entry:
        content = array.tobytes()
        entry = Entry(
            source, dtype=array.dtype.str, shape=array.shape, checksum=zlib.crc32(content)
        )
        self._data.write(content)
        self._data.flush()  # so that the journal never says more than there is
        return entry

    def __exit__(self, *error: object) -> None:
        with self._data, self._journal:
            for file in (self._data, self._journal):
                file.flush()
                os.fsync(file.fileno())
