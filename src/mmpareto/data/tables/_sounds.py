"""Files in which there is nothing to hear."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmpareto.data.tables._measures import measure, opened_media

_STEP = 16
"""Each column of a spectrogram so many on is looked at first."""


def nothing_to_hear(path: Path, item: np.ndarray | None, seconds: float) -> str:
    """Why a file is no recording, though it is not damaged; ``""`` if it is one.

    Args:
        path: The file.
        item: The spectrogram of its beginning, float32 [1, F, T]; None if it cannot be decoded.
        seconds: Length of that beginning. What is silent there, but goes on, is a recording.
    """
    if item is None:
        return "has no sound" if _is_mute_video(path) else ""
    for part in (item[..., ::_STEP], item):
        if part.min() < part.max():
            return ""
    return "is silent" if measure("audio", path).get("seconds", seconds) <= seconds else ""


def _is_mute_video(path: Path) -> bool:
    with opened_media(path) as container:
        if container is None or container.streams.audio:
            return False
        return bool(container.streams.video)
