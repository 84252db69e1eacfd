"""What a table says: its samples, their parts and labels; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._columns import ColumnType
from mmpareto.data.tables._findings import condensed, where
from mmpareto.data.tables._labels import Label
from mmpareto.data.tables._modalities import Modality
from mmpareto.data.tables._table import Table


class Fault(NamedTuple):
    """What is wrong with a row.

    Args:
        reason: What is wrong.
        cause: What rows that are named in one line have in common; the reason by itself.
    """

    reason: str
    cause: str = ""


@dataclass(eq=False)
class Contents:
    """The samples of a table, while what cannot be used is taken out of them.

    Args:
        table: The table.
        types: Types of the columns that are neither label nor id, split or group.
        modalities: What the columns make.
        task: What is predicted: ``class``, ``labels`` or ``number``.
        division: What makes the parts.
        root: Folder that holds all files, where relative paths begin.
        names: Names of all rows.
    """

    table: Table
    types: dict[str, ColumnType]
    modalities: dict[str, Modality]
    task: ColumnType
    division: str
    root: Path
    names: list[str]

    def __post_init__(self) -> None:
        self.problems = list(self.table.problems)
        self.labels: dict[int, Label] = {}
        self.parts = dict.fromkeys(range(len(self.table.rows)), "")
        """Part of each sample, by its place in the table."""

    def row(self, place: int) -> str:
        """How users find a row."""
        return where(self.table.path, [int(self.table.rows[place])])

    def leave_out(self, faults: Mapping[int, Fault]) -> None:
        """Takes out the samples that have a fault, by their places in the table."""
        self.problems += self.findings(faults)
        for place in faults:
            self.parts.pop(place, None)

    def findings(self, faults: Mapping[int, Fault]) -> list[Finding]:
        """A finding for each sample with a fault, or one for many with the same cause."""
        causes: dict[str, dict[int, str]] = {}
        for place in sorted(faults):
            if place in self.parts:
                fault = faults[place]
                rows = causes.setdefault(fault.cause or fault.reason, {})
                rows[int(self.table.rows[place])] = fault.reason
        return condensed(self.table.path, causes.values())

    def note(self, reason: str, *, fatal: bool = False) -> None:
        """Adds what is to be known of the whole table, or why nothing can be trained."""
        self.problems.append(Finding(self.table.path.name, reason, fatal=fatal))

    def of(self, part: str) -> list[int]:
        """The samples of a part, by their places in the table."""
        return [place for place, mine in self.parts.items() if mine == part]

    def cell(self, column: str, place: int) -> str:
        """A cell that is not empty."""
        return str(self.table.columns[column][place])

    def present(self, modality: str) -> np.ndarray:
        """Which rows have something in a column of a modality; bool [all rows]."""
        columns = self.modalities[modality].columns
        present: np.ndarray = np.logical_or.reduce(list(map(self.table.filled, columns)))
        return present
