"""New rows, each of which gets an answer: what in it cannot be used is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmpareto.data._dataset import Batch
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.data.tables._contents import Fault
from mmpareto.data.tables._faults import file_faults, number_faults
from mmpareto.data.tables._inputs import Input, Opened, Selection
from mmpareto.data.tables._paths import Files
from mmpareto.data.tables._table import Table


@dataclass(frozen=True, eq=False)
class NewRows:
    """The rows of a file, in its order.

    Args:
        names: Names of the rows, or their numbers in the file.
        problems: For each row what in it cannot be used; `batch` adds what it finds.
        table: The rows that can be read.
        places: For each row its place in the table, or -1; int64 [N].
        inputs: How each modality is read.
    """

    names: list[str]
    problems: list[list[str]]
    table: Table
    places: np.ndarray
    inputs: Mapping[str, Input]

    @classmethod
    def made_of(
        cls,
        table: Table,
        inputs: Mapping[str, Input],
        names: Sequence[str] | None,
        root: Path,
    ) -> NewRows:
        """The rows of a table, and those of its file that are not in it.

        Cells that cannot be used are emptied.

        Args:
            table: The table.
            inputs: How each modality is read.
            names: Names of the table's rows; None for their numbers.
            root: Folder that holds all files.
        """
        numbers = np.union1d(table.rows, list(table.left_out)).astype(np.int64)
        places = np.full(len(numbers), -1)
        rows = np.searchsorted(numbers, table.rows)
        places[rows] = np.arange(len(rows))
        called = [""] * len(numbers) if names is not None else list(map(str, numbers.tolist()))
        problems: list[list[str]] = [[] for _ in numbers]
        for place, name in enumerate(names or ()):
            called[rows[place]] = name
        for number, reason in table.left_out.items():
            problems[int(np.searchsorted(numbers, number))].append(f"row {number} {reason}")
        for place, reasons in _emptied(table, inputs, root).items():
            problems[rows[place]] += reasons
        return cls(called, problems, table, places, inputs)

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, rows: range) -> Batch:
        """Some rows as a batch of samples without labels, decoded. What is damaged is missing.

        Args:
            rows: Their numbers, from 0, without gaps.
        """
        places = self.places[rows.start : rows.stop]
        kept = np.flatnonzero(places >= 0)
        samples = Selection(places[kept], np.zeros(len(kept), bool), cached=False)
        columns: dict[str, Column] = {}
        for name, item in self.inputs.items():
            opened = item.open(self.table, samples)
            index = torch.full((len(rows),), -1)
            index[torch.from_numpy(kept)] = opened.index
            for sample, reason in self._faults(name, opened, samples.places).items():
                row = int(kept[sample])
                index[row] = -1
                self.problems[rows.start + row].append(reason)
            columns[name] = Column(opened.items, index, opened.transform)
        names = self.names[rows.start : rows.stop]
        return CachedDataset(columns, torch.zeros(len(rows)), names)[list(range(len(rows)))]

    def _faults(self, name: str, opened: Opened, places: np.ndarray) -> dict[int, str]:
        faults: dict[int, str] = {}
        for sample, reason in {**opened.damaged, **opened.absent}.items():
            cell = "a list"
            if name not in self.table.vectors:
                cell = str(self.table.columns[name][int(places[sample])])
            faults[sample] = f"column `{name}`: {cell} {reason}"
        return faults


def _emptied(table: Table, inputs: Mapping[str, Input], root: Path) -> dict[int, list[str]]:
    """Empties the cells that cannot be used; returns why, by the places of their rows."""
    reasons: dict[int, list[str]] = {}
    files = Files(root)
    for item in inputs.values():
        for name, kind in item.cells.items():
            faults: dict[int, Fault] = {}
            if kind == "number":
                faults = number_faults(table, name)
            elif kind == "file":
                faults = file_faults(table, name, files)
            for place, fault in faults.items():
                reasons.setdefault(place, []).append(fault.reason)
            if faults:
                table.clear(name, faults)
    return reasons
