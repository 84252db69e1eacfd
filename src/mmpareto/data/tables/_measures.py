"""How large and how long files are, what in them is not read, and which are the same."""

from __future__ import annotations

import wave
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmpareto._storage._files import digest

_WHOLE = 0.95
"""Share of the length that a file states, from which on nothing is missing."""


def measure(kind: str, path: Path) -> dict[str, float]:
    """Width and height of an image, seconds of a recording or video, number of frames in a folder.

    Args:
        kind: ``image``, ``audio`` or ``video``.
        path: The file.

    Returns:
        Numbers by name; none where the file does not say.
    """
    if path.is_dir():
        return {"frames": len(list(path.iterdir()))}
    if kind == "image":
        return _size(path)
    with opened_media(path) as container:
        if container is None or container.duration is None:
            return {}
        return {"seconds": container.duration / 1_000_000}  # av.time_base


def _size(path: Path) -> dict[str, float]:
    from PIL import Image

    # Damaged files can cause exceptions of any kind.
    with suppress(Exception), Image.open(path) as image:
        return {"width": image.width, "height": image.height}
    return {}


@contextmanager
def opened_media(path: Path) -> Iterator[Any]:
    """A recording or video, opened by PyAV; None where that cannot be."""
    import av

    try:
        # By their bytes alone, as they are decoded: a name or a playlist opens nothing else.
        with path.open("rb") as file:
            container = av.open(file, "r", options={"protocol_whitelist": "none"})
            with container:
                yield container
    except (OSError, ValueError, av.FFmpegError):
        yield None


def surplus(kind: str, path: Path) -> tuple[str, str]:
    """What is wrong with a file that can be decoded.

    Args:
        kind: ``image``, ``audio`` or ``video``.
        path: The file.

    Returns:
        What is wrong, and what files with such a fault have in common; ``""`` twice if nothing is.
    """
    if path.is_dir():
        return "", ""
    if kind == "image":
        pages = _pages(path)
        return (
            (f"holds {pages} pictures, of which the first is read", "pages")
            if pages > 1
            else ("", "")
        )
    with opened_media(path) as container:
        stated, last = 0.0, 0.0
        if container is not None and container.duration is not None:
            stated, last = container.duration / 1_000_000, _last_time(container)
    stated = max(stated, _seconds_of_wave(path))
    if 0 < last < _WHOLE * stated:
        return f"ends after {last:.3g} of the {stated:.3g} seconds that it states", "short"
    return "", ""


def _pages(path: Path) -> int:
    from PIL import Image

    # Damaged files can cause exceptions of any kind.
    with suppress(Exception), Image.open(path) as image:
        return int(getattr(image, "n_frames", 1))
    return 1


def _seconds_of_wave(path: Path) -> float:
    """Seconds that the header of a WAV file states, and FFmpeg ignores; 0 for other files."""
    with suppress(wave.Error, EOFError, OSError), wave.open(str(path)) as file:
        return float(file.getnframes() / max(1, file.getframerate()))
    return 0.0


def _last_time(container: Any) -> float:
    """Seconds at which the last packet of any track ends."""
    last = 0.0
    with suppress(Exception):  # of any kind that damaged files can cause
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                last = max(last, float(end - (packet.stream.start_time or 0) * packet.time_base))
    return last


def same_content(paths: Iterable[Path]) -> list[list[Path]]:
    """Divides files, or folders, by the bytes they hold; only those of one size are read."""
    files = {path: list(_files_in(path)) for path in paths}
    groups: list[list[Path]] = []
    for alike in _groups({path: _size_of(files[path]) for path in files}):
        if len(alike) == 1:
            groups.append(alike)
        else:
            groups += _groups({path: digest(files[path]) for path in alike})
    return groups


def _size_of(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _files_in(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            yield file


def _groups(keys: Mapping[Path, object]) -> list[list[Path]]:
    groups = defaultdict(list)
    for path, key in keys.items():
        groups[key].append(path)
    return list(groups.values())
