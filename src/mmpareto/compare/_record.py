"""What a grid writes into its folder, so that a later grid can add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmpareto._csv import write_records
from mmpareto._files import write_atomically, write_json
from mmpareto.compare._cell import SET_BY_GRID, Cell, configurations
from mmpareto.compare._comparison import Failure, Magnitude
from mmpareto.compare._environment import environment
from mmpareto.compare._results import Result, read_results, write_results
from mmpareto.compare._roles import ENSEMBLE, REFERENCE
from mmpareto.errors import MMParetoError
from mmpareto.training import FREE, Metrics, RunConfig, check_data, describe, magnitudes


@dataclass(frozen=True)
class Record:
    """The state of a comparison's folder.

    Args:
        base: The training, but for its method and seed.
        out: The folder.
        cells: The cells of this grid.
        earlier: Results in the folder that are of other cells.
        done: Metrics of the cells of this grid that are trained.
        failures: The cells of this grid that failed.
    """

    base: RunConfig
    out: Path
    cells: Sequence[Cell]
    earlier: Sequence[Result]
    done: dict[Cell, Metrics] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def folder(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.out / "runs" / cell.name

    def write_description(self, notes: Sequence[str]) -> None:
        """Writes what is compared, as `mmpareto compare --config` takes it."""
        methods: dict[str, int] = {}
        entries: list[Result | Cell] = [*self.earlier, *self.cells]
        for entry in entries:
            methods[entry.method] = max(entry.seed, methods.get(entry.method, 0))
        config = {
            "methods": ",".join(methods),
            "seeds": 1 + max(methods.values()),
            **_common_settings(self.base),
            "notes": list(notes),
        }
        write_atomically(
            self.out / "config.yaml", yaml.safe_dump(config, sort_keys=False, width=100)
        )

    def write_environment(self) -> None:
        """Writes where the trainings run."""
        content = environment() | {"data": self.base.data.citation}
        write_json(self.out / "environment.json", content)

    def write_results(self) -> None:
        """Writes the results and the failures so far."""
        results = list(self.earlier)
        for cell in sorted(self.done, key=lambda cell: (cell.seed, cell.method)):
            results.extend(_results(self.base.data.name, cell, self.done[cell]))
        write_results(self.out / "results.csv", results)
        write_json(self.out / "failures.json", list(map(asdict, self.failures)))

    def write_magnitudes(self) -> None:
        """Writes the lengths of gradients at one trained model, for figure 1(d).

        It is uniform's, where both gradients act as they are, if that is trained.
        """
        candidates = [cell for cell in self.done if cell.method != ENSEMBLE]
        if not candidates:
            return
        order = self.cells.index
        cell = min(candidates, key=lambda cell: (cell.method != REFERENCE, cell.seed, order(cell)))
        rows = []
        for row in magnitudes(self.folder(cell)):
            for objective, norm in (("joint", row.norm_joint), ("unimodal", row.norm_unimodal)):
                rows.append(Magnitude(cell.method, row.modality, objective, row.step, norm))
        write_records(self.out / "magnitudes.csv", Magnitude, rows)


def _results(dataset: str, cell: Cell, metrics: Metrics) -> list[Result]:
    results = []
    for split, numbers in metrics.items():
        for metric, value in numbers.items():
            results.append(Result(dataset, cell.method, cell.seed, split, metric, value))
    return results


def _common_settings(base: RunConfig) -> dict[str, Any]:
    """The settings that all cells have in common."""
    return {key: value for key, value in describe(base).items() if key not in SET_BY_GRID}


def earlier_results(base: RunConfig, cells: Sequence[Cell], out: Path) -> list[Result]:
    """Results in the folder that are of other cells.

    Raises:
        MMParetoError: If they come from other trainings than `base`, or from data that have changed
            since.
    """
    if not (out / "config.yaml").exists() or not (out / "results.csv").exists():
        return []
    _check_settings(base, out)
    earlier = []
    for result in read_results(out / "results.csv"):
        cell = Cell(result.method, result.seed)
        if cell not in cells:
            earlier.append(result)
            for folder in configurations(base, cell, out / "runs" / cell.name):
                check_data(base, folder)
    return earlier


def _check_settings(base: RunConfig, out: Path) -> None:
    stored, settings = yaml.safe_load((out / "config.yaml").read_text()), _common_settings(base)
    changes = []
    for key, value in settings.items():
        if value != stored.get(key) and key not in FREE:
            changes.append(f"{key} {stored.get(key)} there, {value} now")
    if changes:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very comparison. Found in "
            f"{out} another ({'; '.join(changes)}). Choose another folder."
        )
