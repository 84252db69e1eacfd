"""One cell of the grid: a method trained with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmpareto import balancing
from mmpareto._catalogue import catalogue, find
from mmpareto.balancing import Method, TorchJD
from mmpareto.compare._claimed_run import run_claimed
from mmpareto.compare._comparison import run_name
from mmpareto.compare._dotted import adjusted
from mmpareto.errors import MMParetoError
from mmpareto.training import Metrics, RunConfig, check_same, is_finished, stored_metrics

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
        point: Number of the point of a tuning that it tries; None in a comparison.
        settings: Numbers that are set otherwise than in the grid, by dotted name.
    """

    method: str
    seed: int
    point: int | None = None
    settings: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    @property
    def title(self) -> str:
        """What it trains, in words."""
        return self.method if self.point is None else f"{self.method}, point {self.point}"

    @property
    def name(self) -> str:
        """Name of its folder."""
        return run_name(self.method, self.seed, self.point)


def method_names() -> list[str]:
    """What `compare` can compare."""
    return list(catalogue(balancing, Method))


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


def configuration(base: RunConfig, cell: Cell) -> RunConfig:
    """The training of a cell."""
    method = base.method if base.method.name == cell.method else _method(cell.method)
    return adjusted(replace(base, method=method, seed=cell.seed), cell.settings)


def finished(base: RunConfig, cell: Cell, folder: Path) -> Metrics | None:
    """Metrics of a cell that is done already, else None.

    Raises:
        MMParetoError: If the cell's folder holds another training.
    """
    check_same(configuration(base, cell), folder)
    return stored_metrics(folder) if is_finished(folder) else None


def run_cell(base: RunConfig, cell: Cell, folder: Path) -> Metrics:
    """Trains what is not trained yet. Called in a process of its own: Lightning is imported here.

    Returns:
        Metrics by split.
    """
    return run_claimed(configuration(base, cell), folder, progress=False)
