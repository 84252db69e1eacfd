"""Checksums of files that belong together, so that a folder is finished with all of them or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmpareto._storage._files import digest, read_text, write_json
from mmpareto.errors import MMParetoError

SEAL = "checksums.json"


def seal(folder: Path, names: Iterable[str]) -> None:
    """Records what the files of a finished folder hold.

    Args:
        folder: The folder.
        names: The files that belong together.
    """
    write_json(folder / SEAL, {name: digest([folder / name]) for name in names})


def faults(folder: Path, names: Sequence[str]) -> list[str]:
    """What keeps the files of a folder from belonging together.

    Args:
        folder: The folder; one that was never sealed may have any contents.
        names: The files that it should have.

    Returns:
        A phrase for each file that is missing or not what was sealed.
    """
    try:
        checksums = _checksums(folder / SEAL)
    except (ValueError, TypeError, MMParetoError):
        return [f"{SEAL} is damaged"]
    phrases = []
    for name in names:
        if not (folder / name).is_file():
            phrases.append(f"{name} is missing")
        elif name in checksums and digest([folder / name]) != checksums[name]:
            phrases.append(f"{name} has changed")
    return phrases


def _checksums(path: Path) -> dict[str, str]:
    return dict(json.loads(read_text(path))) if path.is_file() else {}
