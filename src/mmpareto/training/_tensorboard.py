"""Numbers of a training for TensorBoard, in a file that names no machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from mmpareto._storage._files import open_to_continue


class TensorBoardFile(Logger):
    """Writes each number when it is told.

    PyTorch's writer puts the host's name into that of its file, and writes in a thread whose errors
    nobody hears.

    Args:
        folder: Where each start of a training has a folder of its own, ``version_0`` and so on.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._file = folder, None

    _file: BinaryIO | None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self._folder.name

    @property
    def version(self) -> str | None:
        """It is chosen when the file is made."""
        return None

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: ``config.yaml`` has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds numbers to the file, which is made with the first of them."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = []
        for name, value in metrics.items():
            values.append(Summary.Value(tag=name, simple_value=float(value)))
        if self._file is None:
            self._file = self._make_file()
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _make_file(self) -> BinaryIO:
        number = 0
        while (self._folder / f"version_{number}").exists():
            number += 1
        folder = self._folder / f"version_{number}"
        folder.mkdir(mode=0o700, parents=True)
        return open_to_continue(folder / "events.out.tfevents.0")

    def _write(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(self._file).write(event.SerializeToString())

    @rank_zero_only
    def save(self) -> None:
        """Leaves nothing in memory."""
        if self._file is not None:
            self._file.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
