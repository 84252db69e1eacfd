"""The grid of methods and seeds, from a configuration to a folder with all results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from mmpareto._csv import write_records
from mmpareto._files import make_folder, write_atomically, write_json
from mmpareto.compare._cell import ENSEMBLE, check_methods, configurations, finished, run_cell
from mmpareto.compare._environment import environment
from mmpareto.compare._folder import Failure, Magnitude
from mmpareto.compare._launch import launch
from mmpareto.compare._results import Result, read_results, write_results
from mmpareto.errors import MMParetoError
from mmpareto.training import (
    NOT_IN_RESULT,
    SET_BY_GRID,
    Metrics,
    RunConfig,
    check_data,
    describe,
    magnitudes,
)


@dataclass(frozen=True)
class Cell:
    """One training of the grid.

    Args:
        method: Its method.
        seed: Its seed.
    """

    method: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.method}-seed{self.seed}"


Listener = Callable[[Cell, str], None]
"""Told of each cell that ends, and how: ``"done before"``, ``"done"`` or the error."""


def compare(
    base: RunConfig,
    methods: Sequence[str],
    seeds: int,
    out: Path,
    *,
    jobs: int,
    listener: Listener,
    notes: Sequence[str] | None = None,
) -> list[Failure]:
    """Trains every method with every seed and writes the results; what is done already is not repeated.

    Methods and seeds may be added to a comparison later: results that its folder has already stay.

    Args:
        base: The training, but for its method and seed.
        methods: Names of methods, or ``"ensemble"``.
        seeds: Number of seeds, from 0.
        out: Folder of the comparison.
        jobs: Number of trainings at a time.
        listener: Told of each cell that ends.
        notes: Caveats for the report; None for those of the data set.

    Returns:
        The cells that failed. The others' results are in the folder all the same.

    Raises:
        MMParetoError: If the request makes no sense, or `out` holds trainings with another
            configuration.
    """
    check_methods(methods)
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise MMParetoError(f"Parameter `{name}` should be at least 1. Found {value!r}.")
    if base.processes > 1:
        raise MMParetoError(
            "Parameter `base` should be a training of one process; `jobs` of them run at a time. "
            f"Found one of {base.processes}."
        )
    base.data.load()  # files that are missing are found here, once, and not in every cell
    # Seeds outside, so that an interrupted grid leaves whole seeds, which can be compared.
    cells = [Cell(method, seed) for seed in range(seeds) for method in methods]
    runs, earlier = out / "runs", _earlier(base, cells, out)
    done = {
        cell: metrics
        for cell in cells
        if (metrics := finished(base, cell.method, cell.seed, runs / cell.name))
    }
    make_folder(out)
    _describe(base, [*earlier, *cells], base.data.notes if notes is None else notes, out)
    if len(done) < len(cells) or not (out / "environment.json").exists():
        write_json(out / "environment.json", environment() | {"data": base.data.citation})
    for cell in done:
        listener(cell, "done before")

    failures = []
    todo = [cell for cell in cells if cell not in done]
    tasks = [(base, cell.method, cell.seed, make_folder(runs / cell.name)) for cell in todo]
    for number, future in launch(run_cell, tasks, min(jobs, len(tasks) or 1)):
        cell, error = todo[number], future.exception()
        if error is None:
            done[cell] = future.result()
        else:
            failures.append(Failure(cell.method, cell.seed, f"{type(error).__name__}: {error}"))
        listener(cell, failures[-1].error if error else "done")
        _write(base, done, earlier, failures, out)
    _write(base, done, earlier, failures, out)
    _write_magnitudes(cells, done, out)
    return failures


def _earlier(base: RunConfig, cells: Sequence[Cell], out: Path) -> dict[Cell, list[Result]]:
    """Results in the folder that are of other cells.

    Raises:
        MMParetoError: If they come from other trainings than `base`, or from data that have changed
            since.
    """
    if not (out / "config.yaml").exists() or not (out / "results.csv").exists():
        return {}
    there, here = yaml.safe_load((out / "config.yaml").read_text()), _training(base)
    differ = [key for key in here if here[key] != there.get(key) and key not in NOT_IN_RESULT]
    if changes := [f"{key} {there.get(key)} there, {here[key]} now" for key in differ]:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very comparison. Found in "
            f"{out} another ({'; '.join(changes)}). Choose another folder."
        )
    earlier: dict[Cell, list[Result]] = {}
    for result in read_results(out / "results.csv"):
        if (cell := Cell(result.method, result.seed)) not in cells:
            earlier.setdefault(cell, []).append(result)
    for cell in earlier:
        for folder in configurations(base, cell.method, cell.seed, out / "runs" / cell.name):
            check_data(base, folder)
    return earlier


def _training(base: RunConfig) -> dict[str, Any]:
    """What all cells have in common."""
    return {key: value for key, value in describe(base).items() if key not in SET_BY_GRID}


def _describe(base: RunConfig, cells: Sequence[Cell], notes: Sequence[str], out: Path) -> None:
    """Writes what is compared, as `mmpareto compare --config` takes it."""
    methods = dict.fromkeys(cell.method for cell in cells)
    seeds = 1 + max(cell.seed for cell in cells)
    config = {"methods": ",".join(methods), "seeds": seeds, **_training(base), "notes": list(notes)}
    write_atomically(out / "config.yaml", yaml.safe_dump(config, sort_keys=False, width=100))


def _write(
    base: RunConfig,
    done: dict[Cell, Metrics],
    earlier: dict[Cell, list[Result]],
    failures: Sequence[Failure],
    out: Path,
) -> None:
    results = [
        Result(base.data.name, cell.method, cell.seed, split, metric, value)
        for cell in sorted(done, key=lambda cell: (cell.seed, cell.method))
        for split, metrics in done[cell].items()
        for metric, value in metrics.items()
    ]
    write_results(out / "results.csv", [*chain.from_iterable(earlier.values()), *results])
    write_json(out / "failures.json", [asdict(failure) for failure in failures])


def _write_magnitudes(cells: Sequence[Cell], done: dict[Cell, Metrics], out: Path) -> None:
    """Gradient magnitudes at one trained model, for figure 1(d): uniform's, where both gradients act as they are."""
    candidates = [cell for cell in cells if cell in done and cell.method != ENSEMBLE]
    if not candidates:
        return
    cell = min(candidates, key=lambda cell: (cell.method != "uniform", cell.seed))
    rows = [
        Magnitude(cell.method, row.modality, objective, row.step, norm)
        for row in magnitudes(out / "runs" / cell.name)
        for objective, norm in (("joint", row.norm_joint), ("unimodal", row.norm_unimodal))
    ]
    write_records(out / "magnitudes.csv", Magnitude, rows)
