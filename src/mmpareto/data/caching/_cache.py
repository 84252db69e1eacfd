"""Files decoded once, kept as arrays that are mapped into memory."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import overload

import numpy as np

from mmpareto.data._recipe import Progress
from mmpareto.data.caching._building import build, state_of
from mmpareto.data.caching._decoding import Decoder as Decoder
from mmpareto.data.caching._decoding import DecodingFailure, attempt
from mmpareto.data.caching._decoding import Source as Source
from mmpareto.data.caching._decoding import Unreadable as Unreadable
from mmpareto.data.caching._journal import Entry, Store
from mmpareto.data.caching._place import alone, hold, make_private
from mmpareto.data.caching._place import cache_folder as cache_folder
from mmpareto.errors import MMParetoError


class Cache(Sequence[np.ndarray | None]):
    """What became of sources: arrays that cannot be written to, and None for what is damaged.

    Arrays are views of the file, mapped into memory: processes that read the same share it. A
    pickle holds the file's name alone, so workers open it by themselves. While this lives, other
    processes leave the file where it is; for workers the object that was pickled sees to that.

    Args:
        store: Where the arrays are.
        length: Number of items.
    """

    def __init__(self, store: Store, length: int) -> None:
        self._store, self._length = store, length
        descriptor = hold(store.journal)
        if descriptor is not None:
            weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> dict[str, object]:
        return {"_store": self._store, "_length": self._length}

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> np.ndarray | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray | None]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray | None] | None:
        if isinstance(index, slice):
            return [self[number] for number in range(self._length)[index]]
        number = range(self._length)[index]
        entries, places, content = self._opened
        outcome = entries[number].outcome(content[places[number] :])
        return None if isinstance(outcome, DecodingFailure) else outcome

    @cached_property
    def damaged(self) -> dict[int, str]:
        """By the item's number, the reason why it could not be decoded."""
        entries = self._opened[0]
        return {number: entry.reason for number, entry in enumerate(entries) if entry.reason}

    @property
    def temporary(self) -> list[int]:
        """Numbers of the damaged items whose reason may be gone the next time."""
        return [number for number, entry in enumerate(self._opened[0]) if entry.temporary]

    @cached_property
    def _opened(self) -> tuple[list[Entry], list[int], np.ndarray]:
        """Entries, the place where each one's bytes begin, and all bytes.

        They are read together, because another process may put a better store there later.
        """
        entries, content = self._store.entries(), self._store.content()
        places = [0, *accumulate(entry.size for entry in entries)]
        if len(entries) != self._length:
            raise self._changed(f"{self._length} items", len(entries))
        if len(content) != places[-1]:
            raise self._changed(f"{places[-1]} bytes", len(content))
        return entries, places, content

    def _changed(self, expected: str, found: int) -> MMParetoError:
        return MMParetoError(
            f"{self._store.folder} should hold {expected}. Found {found}: it was removed or "
            "decoded anew by another process. Start again."
        )


def cached(
    name: str,
    sources: Sequence[Source],
    decoder: Decoder,
    *,
    workers: int = 0,
    progress: Progress | None = None,
) -> Cache:
    """Decodes what has not been decoded yet, and opens all of it.

    What was decoded before, by a call that was killed or for another list of sources too, is taken
    over where the source's name, size and time of change are the same; a file that could not be
    opened or read is tried again. Of several processes that ask for the same, one decodes.

    Args:
        name: Name of the cache in the folder of all caches. The decoder and the folder of the
            sources are added to it.
        sources: Files to decode.
        decoder: What decodes them.
        workers: Number of processes that decode; 0 decodes in this one. With more, a script has to
            do its work below ``if __name__ == "__main__"``.
        progress: Told the name, and how many sources are done.

    Returns:
        An item for each source.

    Raises:
        MMParetoError: If the cache cannot be written, for want of permission or of space.
    """
    if workers < 0:
        raise MMParetoError(f"Parameter `workers` should not be negative. Found {workers!r}.")

    def tell(done: int) -> None:
        if progress:
            progress(name, done, len(sources))

    states = [state_of(source) for source in sources]
    root = str(sources[0].path.absolute()).removesuffix(sources[0].name) if sources else ""
    folder = cache_folder() / f"{name}-{_digest([repr(decoder), str(decoder.version), root])}"
    store = Store(folder / _digest(states))
    complete = _open_complete(store, sources, states, decoder)
    if complete is not None:
        return complete
    with alone(folder):
        make_private(folder)
        # Another process may have built it, while this one waited.
        complete = _open_complete(store, sources, states, decoder)
        if complete is not None:
            return complete
        try:
            build(store, sources, states, decoder, workers, tell)
        except OSError as error:
            raise MMParetoError(
                f"The cache {folder} should be written. Found: {error}. Make room, or set "
                "MMPARETO_CACHE to another folder; the same command continues."
            ) from error
        return Cache(store, len(sources))


def _open_complete(
    store: Store, sources: Sequence[Source], states: Sequence[str], decoder: Decoder
) -> Cache | None:
    """The cache, unless something is missing or a file can be read now that could not before."""
    cache = Cache(store, len(sources))  # first, so that nobody removes what is complete
    if not store.is_complete(states):
        return None
    for number in cache.temporary:
        outcome = attempt(decoder, sources[number].path)
        if not isinstance(outcome, DecodingFailure) or not outcome.temporary:
            return None
    return cache


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]
