"""The user's own data as a data set."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmpareto._storage._files import digest
from mmpareto.data._dataset import MultimodalDataset
from mmpareto.data._recipe import DatasetRecipe, Findings, Progress, Splits
from mmpareto.data.tables._settings import TableSettings
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape, Target

if TYPE_CHECKING:  # these need pyarrow
    from mmpareto.data.samples._cached import CachedDataset
    from mmpareto.data.tables._contents import Contents
    from mmpareto.data.tables._inputs import Input
    from mmpareto.data.tables._open_table import OpenTable
    from mmpareto.data.tables._reader import Reader

_READ = ("table", "fingerprint")


@dataclass(frozen=True)
class Manifest(TableSettings, DatasetRecipe):
    """The user's own data: a CSV or Parquet file with a row per sample and a column per modality.

    The settings are those of `TableSettings`. The file is read when it is first asked about, and
    once: what was read stays with this object, and is no part of its pickle.

    Example:
        >>> Manifest("my.csv", label="mood", types={"year": "category"}).seed
        0
    """

    name = "manifest"
    citation = "The user's own data."
    notes = (
        "What `mmpareto data check` says of the data, left out samples above all, goes for every "
        "number here.",
    )
    layout = (
        "my.csv or my.parquet, a row per sample: label, split (train, val or test), id if there is "
        "one, and a column per modality:\npath of an image, a recording, a video or an .npy array, "
        "from the folder of my.csv on; or text. Columns of\nnumbers and categories make one table. "
        "An empty cell is a missing modality."
    )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _READ}

    @cached_property
    def table(self) -> "OpenTable":
        """The table, opened."""
        try:
            from mmpareto.data.tables._open_table import OpenTable
        except ImportError as error:
            raise MMParetoError(
                f"Reading tables needs {error.name}. Run: pip install 'mmpareto[data]'"
            ) from error
        return OpenTable(self)

    @cached_property  # with the contents, which it is to go with
    def fingerprint(self) -> str:
        return digest([Path(self.path)] if self.path else [])

    @property
    def contents(self) -> "Contents":
        """What the file says, and what is wrong with it."""
        return self.table.contents

    @property
    def inputs(self) -> "dict[str, Input]":
        """How each modality's cells are read, with the statistics of the training part."""
        return self.table.inputs

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: item.shape for name, item in self.inputs.items()}

    @property
    def target(self) -> Target:
        return self.table.target

    def load(self) -> Splits:
        decoded, total = self.table.decode(), self.contents.table.total
        if decoded.lost:
            raise MMParetoError(
                f"{self.path} should name files that can be read. Found that "
                f"{'; '.join(decoded.lost)}: `mmpareto data check {self.path}` says what is wrong "
                "with each."
            )
        left_out = total - sum(map(len, decoded.datasets.values()))
        if left_out:
            warnings.warn(
                f"{left_out:,} of {total:,} rows of {self.path} are left out: `mmpareto data check "
                f"{self.path}` lists them.",
                stacklevel=2,
            )
        return Splits(**decoded.datasets)

    def reader(self, train: MultimodalDataset, modalities: Iterable[str]) -> "Reader":
        """How a model that was trained on the data reads new rows.

        Args:
            train: The training part, loaded.
            modalities: The modalities of the model.
        """
        columns = cast("CachedDataset", train).columns
        return self.table.reader({name: columns[name].transform for name in modalities})

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        self.table.decode(workers, progress)

    def check(self) -> Findings:
        table = self.table
        from mmpareto.data.tables._check import check

        return check(table)
