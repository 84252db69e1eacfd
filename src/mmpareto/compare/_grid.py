"""The grid of methods and seeds, from a configuration to a folder with all results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from mmpareto.compare._cell import ENSEMBLE, check_methods, finished, run_cell
from mmpareto.compare._environment import environment
from mmpareto.compare._folder import Failure, Magnitude
from mmpareto.compare._launch import launch
from mmpareto.compare._results import Result, write_results
from mmpareto.errors import MMParetoError
from mmpareto.files import make_folder, write_atomically, write_json
from mmpareto.records import write_records
from mmpareto.training import Metrics, RunConfig, describe, magnitudes


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
        MMParetoError: If the request makes no sense, or `out` holds trainings with another configuration.
    """
    check_methods(methods)
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise MMParetoError(f"Parameter `{name}` should be at least 1. Found {value!r}.")
    base.data.load()  # files that are missing are found here, once, and not in every cell
    # Seeds outside, so that an interrupted grid leaves whole seeds, which can be compared.
    cells = [Cell(method, seed) for seed in range(seeds) for method in methods]
    runs = out / "runs"
    done = {cell: metrics for cell in cells if (metrics := finished(base, cell.method, cell.seed, runs / cell.name))}
    make_folder(out)
    _describe(base, methods, seeds, base.data.notes if notes is None else notes, out)
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
        _write(base, cells, done, failures, out)
    _write(base, cells, done, failures, out)
    _write_magnitudes(cells, done, out)
    return failures


def _describe(base: RunConfig, methods: Sequence[str], seeds: int, notes: Sequence[str], out: Path) -> None:
    """Writes what is compared, as `mmpareto compare --config` takes it, and where."""
    training = describe(base)
    for chosen_per_cell in ("method", "seed", "modalities"):
        del training[chosen_per_cell]
    config = {"methods": ",".join(methods), "seeds": seeds, **training, "notes": list(notes)}
    write_atomically(out / "config.yaml", yaml.safe_dump(config, sort_keys=False, width=100))
    write_json(out / "environment.json", environment())


def _write(
    base: RunConfig, cells: Sequence[Cell], done: dict[Cell, Metrics], failures: Sequence[Failure], out: Path
) -> None:
    results = [
        Result(base.data.name, cell.method, cell.seed, split, metric, value)
        for cell in cells
        for split, metrics in done.get(cell, {}).items()
        for metric, value in metrics.items()
    ]
    write_results(out / "results.csv", results)
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
