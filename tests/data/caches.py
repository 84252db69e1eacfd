"""Files to decode, with a count of how often that is done, and their cache."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmpareto.data.caching._cache import Cache, Decoder, Source, Unreadable, cache_folder, cached


@dataclass(frozen=True)
class Counting(Decoder):
    """The bytes of a file as an array of as many; leaves a file in `calls` for each call.

    A file that says so cannot be read, is a bug to read, ends the process, or is held up until
    `calls` has a file go.
    """

    version = 1

    calls: str = ""
    dtype: str = "u1"

    def __call__(self, path: Path) -> np.ndarray:
        content = path.read_text()
        if self.calls:
            (Path(self.calls) / f"{path.stem}-{os.getpid()}-{uuid.uuid4()}").touch()
        match content.split("!")[0]:
            case "bad":
                raise Unreadable("is bad")
            case "bug":
                raise TypeError("a bug")
            case "end":
                os._exit(3)
            case "broken":
                raise OSError(5, "Input/output error")
            case "wait":
                with (Path(self.calls).parent / "gate").open("rb") as gate:
                    gate.read()
        return np.frombuffer(content.encode(), np.uint8).astype(self.dtype)


class Folder:
    """Files to decode, the count of decodings, and a cache of its own."""

    def __init__(self, path: Path) -> None:
        self.files, self.calls = path / "files", path / "calls"
        self.files.mkdir()
        self.calls.mkdir()
        self.decoder = Counting(str(self.calls))

    def write(self, *contents: str) -> list[Source]:
        return [self.source(f"{number}.txt", content) for number, content in enumerate(contents)]

    def source(self, name: str, content: str) -> Source:
        path = self.files / name
        path.write_text(content)
        return Source(name, path)

    def decoded(self) -> list[str]:
        """What has been decoded since the last time this was asked."""
        calls = list(self.calls.iterdir())
        for call in calls:
            call.unlink()
        return sorted(call.name.split("-")[0] for call in calls)

    def open(self, sources: Sequence[Source], **options: object) -> Cache:
        return cached("test", sources, self.decoder, **options)


def texts(cache: Sequence[np.ndarray | None]) -> list[str | None]:
    return [None if item is None else item.tobytes().decode() for item in cache]


def store() -> Path:
    """The one store of the one cache."""
    (found,) = (path for path in cache_folder().glob("*/*") if path.is_dir())
    return found


def stored() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store().iterdir()}
