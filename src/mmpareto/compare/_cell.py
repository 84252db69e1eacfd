"""One cell of the grid: a method trained with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmpareto import balancing
from mmpareto._catalogue import catalogue, find
from mmpareto._storage._files import write_json
from mmpareto._storage._names import file_name
from mmpareto.balancing import Joint, Method, TorchJD
from mmpareto.compare._claimed_run import is_finished, run_claimed
from mmpareto.compare._comparison import run_name
from mmpareto.compare._roles import ENSEMBLE
from mmpareto.errors import MMParetoError
from mmpareto.training import (
    METRICS,
    Metrics,
    Predictions,
    RunConfig,
    averaged,
    check_same,
    load_run,
    predict,
    stored_metrics,
)

SET_BY_GRID = ("method", "seed", "modalities", "devices", "num_nodes", "strategy")
"""Settings of a training that the grid sets; its trainings have a process each."""

OF_TORCHJD = "torchjd:"
"""What precedes the name of a weighting of TorchJD."""


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
        return run_name(self.method, self.seed)


def method_names() -> list[str]:
    """What `compare` can compare."""
    return [*catalogue(balancing, Method), ENSEMBLE]


def check_methods(methods: Sequence[str]) -> None:
    """Raises unless `methods` are distinct names of methods."""
    for name in methods:
        if name.startswith(OF_TORCHJD):
            _method(name)
        elif name not in method_names():
            raise MMParetoError(
                f"Parameter `methods` should be some of {', '.join(method_names())}. Found "
                f"'{name}'."
            )
    if not methods or len(set(methods)) < len(methods):
        raise MMParetoError(
            f"Parameter `methods` should be one or more different names. Found {methods!r}."
        )


def _method(name: str) -> Method:
    if name.startswith(OF_TORCHJD):
        return TorchJD(name.removeprefix(OF_TORCHJD))
    found: Method = find("methods", balancing, Method, name)()
    return found


def configurations(base: RunConfig, cell: Cell, folder: Path) -> dict[Path, RunConfig]:
    """The trainings that a cell consists of, by folder."""
    if cell.method == ENSEMBLE:
        alone = replace(base, method=Joint(), seed=cell.seed)
        trainings = {}
        for modality in base.shapes:
            trainings[folder / file_name(modality)] = replace(alone, modalities=(modality,))
        return trainings
    method = base.method
    if method.name != cell.method:
        method = _method(cell.method)
    return {folder: replace(base, method=method, seed=cell.seed)}


def finished(base: RunConfig, cell: Cell, folder: Path) -> Metrics | None:
    """Metrics of a cell that is done already, else None.

    Raises:
        MMParetoError: If the cell's folder holds another training.
    """
    trainings = configurations(base, cell, folder)
    for out, config in trainings.items():
        check_same(config, out)
    return stored_metrics(folder) if all(map(is_finished, trainings)) else None


def run_cell(base: RunConfig, cell: Cell, folder: Path) -> Metrics:
    """Trains what is not trained yet. Called in a process of its own: Lightning is imported here.

    Returns:
        Metrics by split.
    """
    seconds = 0.0
    for out, config in configurations(base, cell, folder).items():
        metrics = run_claimed(config, out, progress=False)
        seconds += metrics["train"]["seconds"]
    if cell.method == ENSEMBLE:
        metrics = {"train": {"seconds": seconds}, **_average(base, folder)}
        write_json(folder / METRICS, metrics)
    return metrics


def _average(base: RunConfig, folder: Path) -> Metrics:
    """Scores of each modality's own network and of their average.

    A sample's average is over the modalities that it has.
    """
    splits, target = base.data.load(), base.data.target
    val, test = {}, {}
    for modality in base.shapes:
        config, model = load_run(folder / file_name(modality))
        val[modality] = predict(model, splits.val, config)
        test[modality] = predict(model, splits.test, config)
        _check_finite(modality, val[modality], test[modality])
    return {
        "val": averaged(val, target).scores(target),
        "test": averaged(test, target).scores(target),
    }


def _check_finite(modality: str, *parts: Predictions) -> None:
    """Raises if a network has diverged: the average with its predictions would be no number."""
    for predictions in parts:
        for values in predictions.values.values():
            if not values.isfinite().all():
                raise MMParetoError(
                    f"The network of modality '{modality}' has diverged: its predictions are not "
                    "finite. Lower the learning rate."
                )
