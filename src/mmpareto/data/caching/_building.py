"""How a store is filled: what was decoded before is taken over, the rest is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from mmpareto.data.caching._decoding import Decoder, Outcome, Source
from mmpareto.data.caching._journal import Entry, Store
from mmpareto.data.caching._place import make_private, remove, remove_unless_held
from mmpareto.data.caching._workers import decode_all
from mmpareto.data.caching._writer import Writer


def state_of(source: Source) -> str:
    """A source's name, and all that is known of its content without reading it."""
    try:
        files = [source.path]
        if source.path.is_dir():
            files.extend(source.path.iterdir())
        stats = [file.stat() for file in files]
        locked = "" if os.access(source.path, os.R_OK) else ", locked"
    except (OSError, ValueError):  # a ValueError for a name that no file can have
        return f"{source.name}: missing"
    size = sum(stat.st_size for stat in stats)
    changed = max(stat.st_mtime_ns for stat in stats)
    return f"{source.name}: {len(files)} files, {size} bytes, {changed} ns{locked}"


def build(
    store: Store,
    sources: Sequence[Source],
    states: Sequence[str],
    decoder: Decoder,
    workers: int,
    tell: Callable[[int], None],
) -> None:
    """Makes a store, and removes all others beside it that nobody holds.

    Args:
        store: Where the outcomes go, whatever is there now.
        sources: Files to decode.
        states: State of each source, see `state_of`.
        decoder: What decodes them.
        workers: Number of processes that decode; 0 decodes in this one.
        tell: Called with the number of sources that are done.
    """
    part = Store(store.folder.with_suffix(".part"))
    make_private(part.folder)
    others = _stores_beside(part)
    _fill(part, others, sources, states, decoder, workers, tell)
    old = store.folder.with_suffix(".old")
    _replace(store.folder, part.folder, old)
    for other in others:
        if other.folder not in (store.folder, old):
            remove_unless_held(other.folder, other.journal)


def _stores_beside(part: Store) -> list[Store]:
    """All stores in the folder of `part`, but for `part` itself."""
    folders = [path for path in part.folder.parent.iterdir() if path.is_dir()]
    return [Store(path) for path in folders if path != part.folder and not path.is_symlink()]


def _fill(
    part: Store,
    others: Sequence[Store],
    sources: Sequence[Source],
    states: Sequence[str],
    decoder: Decoder,
    workers: int,
    tell: Callable[[int], None],
) -> None:
    """Writes what became of the sources, after what a call that was killed has written."""
    kept = _matching(part, states)
    known = _decoded_before(others, states[len(kept) :])
    numbers = range(len(kept), len(states))
    paths = [sources[number].path for number in numbers if states[number] not in known]
    with Writer(part, kept) as writer, closing(decode_all(decoder, paths, workers)) as decoded:
        for number in numbers:
            tell(number)
            state = states[number]
            writer.append(state, known[state] if state in known else next(decoded))
        tell(len(states))


def _matching(part: Store, states: Sequence[str]) -> list[Entry]:
    """The first entries of a store, as long as they are those of the sources."""
    kept = []
    for (entry, _), state in zip(part.intact(), states, strict=False):
        if entry.source != state:
            break
        kept.append(entry)
    return kept


def _decoded_before(stores: Iterable[Store], states: Sequence[str]) -> dict[str, Outcome]:
    """What other stores hold of the sources in these states, but for temporary failures."""
    wanted = set(states)
    known = {}
    for store in stores:
        for entry, outcome in store.intact():
            if entry.source in wanted and not entry.temporary:
                known[entry.source] = outcome
    return known


def _replace(folder: Path, part: Path, old: Path) -> None:
    """Moves `part` to `folder`; what was there is `old` for a moment, and then removed."""
    remove(old)
    if folder.exists() or folder.is_symlink():
        folder.rename(old)  # whoever has it open finds the same items in the new one
    part.rename(folder)
    remove(old)
