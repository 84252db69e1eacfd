"""What a grid writes into its folder, so that a later grid can add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmpareto._storage._csv import write_records
from mmpareto._storage._files import write_atomically, write_json
from mmpareto._storage._yaml import read_yaml
from mmpareto.compare._cell import SET_BY_GRID, Cell
from mmpareto.compare._comparison import Failure, Magnitude, read_failures
from mmpareto.compare._environment import environment
from mmpareto.compare._results import Result, read_results, write_results
from mmpareto.compare._roles import REFERENCE
from mmpareto.compare._trials import holds_trials
from mmpareto.compare._tuned import Tuned, check_same_choice, write_tuned
from mmpareto.errors import MMParetoError
from mmpareto.training import (
    NOT_IN_RESULT,
    Metrics,
    RunConfig,
    check_data,
    describe,
    is_finished,
    magnitudes,
    stored_metrics,
    unchanged,
)


@dataclass(frozen=True)
class Record:
    """The state of a comparison's folder.

    Args:
        base: The training, but for its method and seed.
        out: The folder.
        cells: The cells of this grid.
        earlier: Results in the folder that are of other cells.
        earlier_failures: Failures in the folder that are of other cells.
        tuned: The tuning that chose the methods' settings; None where they have those of `base`.
        done: Metrics of the cells of this grid that are trained.
        failures: The cells of this grid that failed.
    """

    base: RunConfig
    out: Path
    cells: Sequence[Cell]
    earlier: Sequence[Result]
    earlier_failures: Sequence[Failure]
    tuned: Tuned | None = None
    done: dict[Cell, Metrics] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def folder(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.out / "runs" / cell.name

    def write_description(self, notes: Sequence[str], tuning: Path | None = None) -> None:
        """Writes what is compared, as `mmpareto compare --config` takes it.

        Args:
            notes: Caveats for the report.
            tuning: Folder of the tuning, if there is one.
        """
        methods: dict[str, int] = {}
        entries: list[Result | Cell] = [*self.earlier, *self.cells]
        for entry in entries:
            methods[entry.method] = max(entry.seed, methods.get(entry.method, 0))
        config = {
            "methods": ",".join(methods),
            "seeds": 1 + max(methods.values()),
            **common_settings(self.base),
            "notes": list(notes),
        }
        if tuning is not None and self.tuned is not None:
            config["tuned"] = str(tuning.absolute())
            write_tuned(self.out, self.tuned)
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
        failures = [*self.earlier_failures, *self.failures]
        write_json(self.out / "failures.json", list(map(asdict, failures)))

    def write_magnitudes(self) -> None:
        """Writes the lengths of gradients at one trained model, for figure 1(d).

        It is uniform's, where both gradients act as they are, if that is trained.
        """
        cells = {Cell(row.method, row.seed): None for row in self.earlier} | self.done
        trained = [cell for cell in cells if is_finished(self.folder(cell))]
        cell = min(trained, key=_rank, default=None)
        if cell is None:
            return
        rows = []
        for row in magnitudes(self.folder(cell)):
            for objective, norm in (("joint", row.norm_joint), ("unimodal", row.norm_unimodal)):
                rows.append(Magnitude(cell.method, row.modality, objective, row.step, norm))
        write_records(self.out / "magnitudes.csv", Magnitude, rows)


def _rank(cell: Cell) -> tuple[bool, int]:
    """The place of a cell among those whose gradients may be shown."""
    return cell.method != REFERENCE, cell.seed


def _results(dataset: str, cell: Cell, metrics: Metrics) -> list[Result]:
    results = []
    for split, numbers in metrics.items():
        for metric, value in numbers.items():
            results.append(Result(dataset, cell.method, cell.seed, split, metric, value))
    return results


def common_settings(base: RunConfig) -> dict[str, Any]:
    """The settings that all cells have in common."""
    return {key: value for key, value in describe(base).items() if key not in SET_BY_GRID}


def open_record(
    base: RunConfig, cells: Sequence[Cell], out: Path, tuned: Tuned | None = None
) -> Record:
    """The record of a new grid in a folder that may hold earlier ones.

    Args:
        base: The training, but for its method and seed.
        cells: The cells of the new grid.
        out: The folder.
        tuned: The tuning that chose the methods' settings, if there is one.

    Raises:
        MMParetoError: If the folder's results come from other trainings than `base`, or from data
            that have changed since; if a file in it is malformed.
    """
    results: list[Result] = []
    failures: list[Failure] = []
    if holds_trials(out):
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very comparison. Found in "
            f"{out} a tuning, whose choices --tuned takes. Choose another folder."
        )
    if (out / "config.yaml").exists() and (out / "results.csv").exists():
        _check_settings(base, out)
        check_same_choice(out, tuned)
        results = read_results(out / "results.csv")
        failures = read_failures(out / "failures.json")
    earlier = [result for result in results if Cell(result.method, result.seed) not in cells]
    for cell in dict.fromkeys(Cell(result.method, result.seed) for result in earlier):
        check_data(base, out / "runs" / cell.name)
        metrics = stored_metrics(out / "runs" / cell.name)
        if metrics is not None:  # they are sealed; rows of a table are not
            earlier = [row for row in earlier if Cell(row.method, row.seed) != cell]
            earlier.extend(_results(base.data.name, cell, metrics))
    others = [failure for failure in failures if Cell(failure.method, failure.seed) not in cells]
    return Record(base, out, cells, earlier, others, tuned)


def _check_settings(base: RunConfig, out: Path) -> None:
    changes = changed_settings(base, out)
    if changes:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very comparison. Found in "
            f"{out} another ({'; '.join(changes)}). Choose another folder."
        )


def changed_settings(base: RunConfig, folder: Path) -> list[str]:
    """What differs between the trainings of a grid's folder and others, as far as results go.

    Args:
        base: The others.
        folder: The folder, with ``config.yaml``.

    Raises:
        MMParetoError: If the file is malformed.
    """
    settings = common_settings(base)
    stored = {name: settings[name] for name in unchanged(base)} | read_yaml(folder / "config.yaml")
    changes = []
    for key, value in settings.items():
        if value != stored.get(key) and key not in NOT_IN_RESULT:
            changes.append(f"{key} {stored.get(key)} there, {value} now")
    return changes
