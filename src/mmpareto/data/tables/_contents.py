"""What a manifest says: which samples there are, of which part, with which label; and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._columns import Typed
from mmpareto.data.tables._labels import Label
from mmpareto.data.tables._modalities import Modality
from mmpareto.data.tables._table import Table


@dataclass(eq=False)
class Contents:
    """The samples of a manifest, while what cannot be used is taken out of them.

    Args:
        table: The file.
        types: Of the columns that are neither label nor id, split or group.
        modalities: What the columns make.
        task: What is predicted: ``class``, ``labels`` or ``number``.
        division: What makes the parts.
        root: Folder that holds all files, where relative paths begin.
    """

    table: Table
    types: dict[str, Typed]
    modalities: dict[str, Modality]
    task: Typed
    division: str
    root: Path

    def __post_init__(self) -> None:
        self.names: list[str] = []
        self.problems = list(self.table.problems)
        self.labels: dict[int, Label] = {}
        self.parts = dict.fromkeys(range(len(self.table.rows)), "")
        """Of each sample, by its place in the table, the part."""

    def row(self, place: int) -> str:
        """How users find a row."""
        return f"{self.table.path.name}, row {self.table.rows[place]}"

    def leave_out(self, fault: Callable[[int], str | None]) -> None:
        """Takes out the samples that have a fault."""
        for place in list(self.parts):
            if (reason := fault(place)) is not None:
                self.problems.append(Finding(self.row(place), reason))
                del self.parts[place]

    def refuse(self, reason: str) -> None:
        """Says why nothing can be trained."""
        self.problems.append(Finding(self.table.path.name, reason, fatal=True))

    def of(self, part: str) -> list[int]:
        """The samples of a part."""
        return [place for place, own in self.parts.items() if own == part]

    def cells(self, modality: str, place: int) -> tuple[str, ...]:
        """What a sample has of a modality, column by column; nothing but empty cells where it has none."""
        return tuple(
            self.table.columns[column][place] for column in self.modalities[modality].columns
        )
