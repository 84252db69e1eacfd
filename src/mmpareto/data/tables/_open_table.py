"""A table of the user's own, opened: what is read of it is read once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from mmpareto.data._recipe import Progress
from mmpareto.data.samples._transform import Transform
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._decoded import Decoded, decode
from mmpareto.data.tables._inputs import Input
from mmpareto.data.tables._labels import make_target
from mmpareto.data.tables._make_input import make_input
from mmpareto.data.tables._reader import Reader, make_reader
from mmpareto.data.tables._review import read_contents
from mmpareto.data.tables._settings import TableSettings
from mmpareto.errors import MMParetoError
from mmpareto.specs import Target


class OpenTable:
    """A table, each of whose properties is read when it is first asked for.

    Args:
        settings: How it is to be read.
    """

    def __init__(self, settings: TableSettings) -> None:
        self.settings = settings

    @cached_property
    def contents(self) -> Contents:
        """What the file says, and what is wrong with it."""
        if self.settings.path is None:
            raise MMParetoError(
                "Parameter `data.path` should be a CSV or Parquet file. Found none: add "
                "--data.path."
            )
        return read_contents(self.settings, Path(self.settings.path))

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """How each modality's cells are read, with the statistics of the training part."""
        fatal = [problem.reason for problem in self.contents.problems if problem.fatal]
        if fatal:
            path = self.settings.path
            found = f"{'; '.join(fatal)}. `mmpareto data check {path}` lists everything"
            raise MMParetoError(f"{path} should be data that can be trained on. Found: {found}.")
        names = self.contents.modalities
        return {name: make_input(self.settings, self.contents, name) for name in names}

    @cached_property
    def target(self) -> Target:
        """What is predicted."""
        contents = self.contents
        labels = list(map(contents.labels.__getitem__, contents.of("train")))
        return make_target(contents.task.kind, self.settings.label, labels)

    def decode(self, workers: int = 0, progress: Progress | None = None) -> Decoded:
        """Decodes the files that have not been decoded before.

        Args:
            workers: Processes that decode; 0 decodes in this one.
            progress: Called with the modality, and how many of its files are done of how many.

        Raises:
            MMParetoError: If nothing can be trained on.
        """
        return decode(self.contents, self.inputs, self.target, workers, progress)

    def reader(self, transforms: Mapping[str, Transform]) -> Reader:
        """How a model that was trained on the table reads new rows, see `make_reader`."""
        return make_reader(self.settings, self.contents, self.inputs, transforms)
