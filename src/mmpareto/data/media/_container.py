"""Files of sound and moving pictures, decoded by FFmpeg."""

from __future__ import annotations

import mmap
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal

from mmpareto.data.caching._decoding import Unreadable
from mmpareto.data.media._image import opened
from mmpareto.errors import MMParetoError


def decoded_frames(path: Path, kind: Literal["audio", "video"]) -> Generator[Any]:
    """PyAV's frames of the first track of a kind, in the order in which they are shown or heard.

    Args:
        path: Path of the file, whose format is found from its content alone.
        kind: Kind of the track.

    Raises:
        Unreadable: If there is no such track, or one that cannot be decoded.
    """
    try:
        import av
    except ImportError as error:
        raise MMParetoError(
            "Decoding sound and video needs av. Run: pip install 'mmpareto[data]'"
        ) from error
    # FFmpeg sees bytes without a name, so that a wrong one does not mislead it and playlists open
    # no other files.
    with opened(path) as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise Unreadable(f"is no {kind}: {error}") from error
        with content:
            yield from _frames(av, content, kind)


def _frames(av: Any, content: mmap.mmap, kind: str) -> Iterator[Any]:
    options = {"protocol_whitelist": "none"}
    try:
        with av.open(content, options=options, metadata_errors="replace") as container:
            track = next((stream for stream in container.streams if stream.type == kind), None)
            if track is None or track.codec_context is None:  # the latter for an unknown codec
                raise Unreadable(f"holds no {kind}")
            track.codec_context.thread_count = 1  # files are decoded by several processes
            yield from container.decode(track)
    except (av.FFmpegError, ValueError) as error:  # a ValueError for a place beyond the end
        reason = getattr(error, "strerror", error)
        raise Unreadable(f"is no {kind} that can be decoded: {reason}") from error
