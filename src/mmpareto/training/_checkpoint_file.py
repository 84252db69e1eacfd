"""Checkpoints that are read only if they are undamaged, and of the training they are read for."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mmpareto.errors import MMParetoError
from mmpareto.training._folder import CHECKPOINT, LAST, PREVIOUS

IDENTITY = "configuration"
"""Under which key a checkpoint says which training it is of."""


class DamagedCheckpointError(MMParetoError):
    """A file that is no checkpoint, or one that has changed since it was written."""


def read_checkpoint(path: Path, identity: str) -> dict[str, Any]:
    """What a checkpoint holds, on the processor.

    torch does not look at the checksums of what it reads, so they are looked at before.

    Args:
        path: The file.
        identity: Identity of the configuration of the training.

    Raises:
        DamagedCheckpointError: If it is no checkpoint, or has changed since it was written.
        MMParetoError: If it is of another training.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers of damaged files raise whatever they stumble over
        raise _damaged(path, f"{type(error).__name__} on reading it") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise _damaged(path, "no weights in it")
    if content.get(IDENTITY) != identity:
        raise MMParetoError(
            f"{path} should be a checkpoint of the training that config.yaml and the command "
            "describe. Found that of another. Delete it, or choose another folder."
        )
    return content


def choose_checkpoint(folder: Path, identity: str) -> Path | None:
    """The checkpoint to continue an interrupted training from; None to start at the beginning.

    Where the last one is damaged it is deleted, and the one before is taken; a warning says so.

    Args:
        folder: The folder of the training.
        identity: Identity of the configuration of the training.

    Raises:
        MMParetoError: If none is undamaged, or one is of another training.
    """
    damaged: DamagedCheckpointError | None = None
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            read_checkpoint(path, identity)
        except DamagedCheckpointError as error:
            damaged = damaged or error
            continue
        if damaged is not None:
            warnings.warn(
                f"{folder / LAST} is damaged, and deleted. The training continues from {path}, one "
                "epoch before.",
                stacklevel=2,
            )
            (folder / LAST).unlink(missing_ok=True)  # or it would take the other's place
        return path
    if damaged is not None:
        raise damaged
    return None


def resumed_from(folder: Path, identity: str) -> Path | None:
    """As `choose_checkpoint`; but all begins again where the best epoch so far is damaged or gone.

    No later epoch would bring it back. The checkpoints are deleted then, and a warning says so.
    """
    path = choose_checkpoint(folder, identity)
    if path is None:
        return None
    try:
        read_checkpoint(folder / CHECKPOINT, identity)
    except DamagedCheckpointError:
        warnings.warn(
            f"{folder / CHECKPOINT} is damaged or gone. The training starts again.", stacklevel=2
        )
        for name in (LAST, PREVIOUS):
            (folder / name).unlink(missing_ok=True)
        return None
    return path


def _check_sums(path: Path) -> None:
    """Raises unless the file is an archive, uncompressed, whose parts have their checksums."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type != zipfile.ZIP_STORED:  # which might unpack to any size
                raise zipfile.BadZipFile(f"{part.filename} is compressed")
        changed = archive.testzip()
    if changed is not None:
        raise zipfile.BadZipFile(f"{changed} has changed")


def _damaged(path: Path, found: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"{path} should be an undamaged checkpoint of this training. Found {found}. Delete it to "
        "start again."
    )
