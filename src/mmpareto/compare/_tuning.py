"""Tuning with equal budgets: every method is trained at the same points, and none at others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from mmpareto._storage._workplace import workplace
from mmpareto._storage._yaml import read_yaml
from mmpareto.compare._best_of import best_points, point_scores
from mmpareto.compare._cell import Cell, check_methods
from mmpareto.compare._claimed_run import work_of
from mmpareto.compare._comparison import Failure
from mmpareto.compare._grid import Listener, check_request, find_finished, train_cells
from mmpareto.compare._record import changed_settings, common_settings
from mmpareto.compare._space import Space, check_space, method_config, parse_space, plain
from mmpareto.compare._trials import Trial
from mmpareto.compare._tuned import FIRST_SEED, Choice, Tuned, write_tuned
from mmpareto.compare._tuning_record import TuningRecord
from mmpareto.errors import MMParetoError
from mmpareto.training import RunConfig


def tune(
    base: RunConfig,
    methods: Sequence[str],
    space: Any,
    out: Path,
    *,
    budget: int,
    seeds: int,
    jobs: int,
    listener: Listener,
) -> list[Failure]:
    """Trains every method at the same points, and chooses one for each on the validation part.

    The first point is the defaults. What is done already is not repeated; methods, points and seeds
    may be added later, and those that the folder has already keep the same budget.

    Args:
        base: The training, but for its method and seed.
        methods: Names of methods.
        space: Intervals by dotted name, as `parse_space` takes them.
        out: Folder of the tuning.
        budget: Number of points per method.
        seeds: Number of trainings at each point, with seeds from `FIRST_SEED`.
        jobs: Number of trainings at a time.
        listener: Is called with each cell that ends.

    Returns:
        The cells that failed: their points are not chosen.

    Raises:
        MMParetoError: If the request makes no sense, or `out` holds another tuning; if a process at
            other work holds it.
    """
    check_request(base, methods, budget=budget, seeds=seeds, jobs=jobs)
    intervals = parse_space(space)
    check_space(intervals, base, methods)
    base.data.load()  # missing files are found here, and not in every cell
    with workplace(out, work_of(common_settings(base))):
        methods = _with_stored(base, methods, intervals, out)
        cells = make_cells(base, methods, intervals, budget, seeds)
        record = TuningRecord(base, out, cells)
        find_finished(record)
        record.write_description(intervals, {"budget": budget, "seeds": seeds})
        train_cells(record, jobs, listener)
        record.write_results()
        choices = choose(record.trials(), cells, seeds)
        write_tuned(out, Tuned(base.data.name, budget, seeds, choices))
    return record.failures


def make_cells(
    base: RunConfig, methods: Sequence[str], space: Space, budget: int, seeds: int
) -> list[Cell]:
    """The cells of a tuning, point by point.

    Args:
        base: The training, but for its method and seed.
        methods: Names of methods.
        space: What is tuned.
        budget: Number of points per method.
        seeds: Number of trainings at each point.
    """
    configs = {method: method_config(base, method) for method in methods}
    cells: list[Cell] = []
    for number, point in enumerate([{}, *space.points(budget)]):
        for seed, method in product(range(FIRST_SEED, FIRST_SEED + seeds), methods):
            cells.append(Cell(method, seed, number, space.settings(configs[method], point)))
    return cells


def choose(trials: Iterable[Trial], cells: Sequence[Cell], seeds: int) -> dict[str, Choice]:
    """The best point of each method by its mean validation score; of equal ones the first.

    Args:
        trials: Validation scores.
        cells: All cells.
        seeds: Number of trainings at each point; a point with fewer has failed.
    """
    settings = {(cell.method, cell.point): dict(cell.settings) for cell in cells}
    choices: dict[str, Choice] = {}
    for method, scores in point_scores(trials, seeds).items():
        point = best_points(scores)[0]
        choices[method] = Choice(point, scores[point], settings[method, point])
    return choices


def _with_stored(base: RunConfig, methods: Sequence[str], space: Space, out: Path) -> list[str]:
    """The methods, and those that a folder has already.

    Raises:
        MMParetoError: If the folder holds another tuning.
    """
    if not (out / "config.yaml").exists():
        return list(methods)
    stored = read_yaml(out / "config.yaml")
    changes = changed_settings(base, out)
    if stored.get("space") != plain(space):
        changes.append(f"space {stored.get('space')} there, {plain(space)} now")
    if changes:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very tuning. Found in "
            f"{out} another ({'; '.join(changes)}). Choose another folder."
        )
    names = str(stored.get("methods", "")).split(",")
    known = list(dict.fromkeys([*filter(None, names), *methods]))
    check_methods(known)
    return known
