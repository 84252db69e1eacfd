"""The grid of methods and seeds, from a configuration to a folder with all results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Protocol

from mmpareto._storage._folders import make_inside
from mmpareto._storage._workplace import workplace
from mmpareto.compare._cell import Cell, check_methods, finished, run_cell
from mmpareto.compare._claimed_run import work_of
from mmpareto.compare._comparison import Failure
from mmpareto.compare._launch import launch, visible_devices
from mmpareto.compare._record import changed_settings, common_settings, open_record
from mmpareto.compare._tuned import check_fits, read_tuned
from mmpareto.errors import MMParetoError
from mmpareto.training import Metrics, RunConfig, choose_device

Listener = Callable[[Cell, str], None]
"""Is called with each cell that ends, and ``"done before"``, ``"done"`` or the error."""


def compare(
    base: RunConfig,
    methods: Sequence[str],
    seeds: int,
    out: Path,
    *,
    jobs: int,
    listener: Listener,
    notes: Sequence[str] | None = None,
    tuned: Path | None = None,
) -> list[Failure]:
    """Trains every method with every seed and writes the results.

    What is done already is not repeated. Methods and seeds may be added to a comparison later:
    results that its folder has already stay. The folder is locked meanwhile; another comparison of
    the same trainings waits, and then adds to it.

    Args:
        base: The training, but for its method and seed.
        methods: Names of methods.
        seeds: Number of seeds, from 0.
        out: Folder of the comparison.
        jobs: Number of trainings at a time.
        listener: Is called with each cell that ends.
        notes: Caveats for the report; None for those of the data set.
        tuned: Folder of a tuning, whose choice of settings each method takes; None for the same
            settings for all.

    Returns:
        The cells that failed. The others' results are in the folder all the same.

    Raises:
        MMParetoError: If the request makes no sense, or `out` holds trainings with another
            configuration; if a process at other work holds it; if the tuning is of other trainings
            or methods, or used the seeds.
    """
    check_request(base, methods, seeds=seeds, jobs=jobs)
    choice = None if tuned is None else read_tuned(tuned)
    if tuned is not None and choice is not None:
        check_fits(choice, tuned, changed_settings(base, tuned), methods, seeds)
    base.data.load()  # missing files are found here, and not in every cell
    # Seed by seed, so that an interrupted grid leaves complete seeds, which can be compared.
    cells = [Cell(method, seed) for seed, method in product(range(seeds), methods)]
    if choice is not None:
        cells = [replace(cell, settings=choice.settings(cell.method)) for cell in cells]
    with workplace(out, work_of(common_settings(base))):
        record = open_record(base, cells, out, choice)
        find_finished(record)
        record.write_description(base.data.notes if notes is None else notes, tuned)
        if len(record.done) < len(cells) or not (out / "environment.json").exists():
            record.write_environment()
        train_cells(record, jobs, listener)
        record.write_results()
        record.write_magnitudes()
    return record.failures


def check_request(base: RunConfig, methods: Sequence[str], **counts: int) -> None:
    """Checks what a grid is asked for.

    Args:
        base: The training, but for its method and seed.
        methods: Names of methods.
        counts: Numbers that should be at least 1, by parameter.

    Raises:
        MMParetoError: If it makes no sense.
    """
    check_methods(methods)
    base.check_data()
    choose_device(base.accelerator)
    for name, value in counts.items():
        if value < 1:
            raise MMParetoError(f"Parameter `{name}` should be at least 1. Found {value!r}.")
    if base.processes > 1:
        raise MMParetoError(
            "Parameter `base` should be a training of one process; `jobs` of them run at a time. "
            f"Found one of {base.processes}."
        )


class GridRecord(Protocol):
    """The state of a grid's folder, as far as training its cells needs it."""

    @property
    def base(self) -> RunConfig:
        """The training, but for what a cell says."""

    @property
    def out(self) -> Path:
        """The folder."""

    @property
    def cells(self) -> Sequence[Cell]:
        """The cells of the grid."""

    @property
    def done(self) -> dict[Cell, Metrics]:
        """Metrics of the cells that are trained."""

    @property
    def failures(self) -> list[Failure]:
        """The cells that failed."""

    def folder(self, cell: Cell) -> Path:
        """Folder of a cell."""

    def write_results(self) -> None:
        """Writes the results and the failures so far."""


def find_finished(record: GridRecord) -> None:
    """Adds the cells that were trained before to those that are done.

    Raises:
        MMParetoError: If the folder of a cell holds another training.
    """
    for cell in record.cells:
        metrics = finished(record.base, cell, record.folder(cell))
        if metrics:
            record.done[cell] = metrics


def train_cells(record: GridRecord, jobs: int, listener: Listener) -> None:
    """Trains the cells that are not done, writing the results after each.

    Args:
        record: The grid.
        jobs: Number of trainings at a time.
        listener: Is called with each cell that ends.
    """
    for cell in record.done:
        listener(cell, "done before")
    todo = [cell for cell in record.cells if cell not in record.done]
    tasks = [(record.base, cell, make_inside(record.out, "runs", cell.name)) for cell in todo]
    devices = () if record.base.accelerator == "cpu" else visible_devices()
    for number, future in launch(run_cell, tasks, min(jobs, len(tasks) or 1), devices):
        cell, error, outcome = todo[number], future.exception(), "done"
        if error is None:
            record.done[cell] = future.result()
        else:
            outcome = f"{type(error).__name__}: {error}"
            record.failures.append(Failure(cell.title, cell.seed, outcome))
        listener(cell, outcome)
        record.write_results()
