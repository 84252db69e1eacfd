"""How Lightning writes checkpoints here: complete or not at all, and with their training's name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from mmpareto._storage._files import write_atomically
from mmpareto.training._checkpoint_file import IDENTITY
from mmpareto.training._folder import LAST, PREVIOUS


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the checkpoint, to the disk, and renames; the last one but one is kept.

    Lightning would write to the folder for temporary files, and copy where that is on another file
    system: a copy can end half-way.

    Args:
        identity: Identity of the configuration of the training.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        """Writes a checkpoint.

        Raises:
            MMParetoError: If it cannot be written; what was there before is then unharmed.
        """
        buffer = io.BytesIO()
        torch.save({**checkpoint, IDENTITY: self._identity}, buffer)
        target = Path(path)
        if target.name == LAST and target.exists():
            target.replace(target.with_name(PREVIOUS))
        write_atomically(target, buffer.getvalue())
