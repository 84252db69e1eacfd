"""One cell of the grid: a method trained with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmpareto import balancing
from mmpareto._catalogue import catalogue, find
from mmpareto._files import write_json
from mmpareto.balancing import Joint, Method
from mmpareto.errors import MMParetoError
from mmpareto.training import (
    METRICS,
    Metrics,
    RunConfig,
    averaged,
    check_same,
    load_run,
    predict,
    stored_metrics,
)

ENSEMBLE = "ensemble"
"""Trains each modality alone and averages their predictions; no method of one step, so known here only."""


def method_names() -> list[str]:
    """What `compare` can compare."""
    return [*catalogue(balancing, Method), ENSEMBLE]


def check_methods(methods: Sequence[str]) -> None:
    """Raises unless `methods` are distinct names of methods."""
    for name in methods:
        if name != ENSEMBLE and name not in catalogue(balancing, Method):
            raise MMParetoError(
                f"Parameter `methods` should be some of {', '.join(method_names())}. Found "
                f"'{name}'."
            )
    if not methods or len(set(methods)) < len(methods):
        raise MMParetoError(
            f"Parameter `methods` should be one or more different names. Found {methods!r}."
        )


def configurations(base: RunConfig, method: str, seed: int, folder: Path) -> dict[Path, RunConfig]:
    """The trainings that a cell consists of, by folder."""
    if method == ENSEMBLE:
        alone = replace(base, method=Joint(), seed=seed)
        return {
            folder / modality: replace(alone, modalities=(modality,)) for modality in base.shapes
        }
    chosen = (
        base.method if base.method.name == method else find("methods", balancing, Method, method)()
    )
    return {folder: replace(base, method=chosen, seed=seed)}


def finished(base: RunConfig, method: str, seed: int, folder: Path) -> Metrics | None:
    """Metrics of a cell that is done already, else None.

    Raises:
        MMParetoError: If the cell's folder holds another training.
    """
    for out, config in configurations(base, method, seed, folder).items():
        check_same(config, out)
    return stored_metrics(folder)


def run_cell(base: RunConfig, method: str, seed: int, folder: Path) -> Metrics:
    """Trains what is not trained yet. Called in a process of its own: Lightning is imported here.

    Returns:
        Metrics by split.
    """
    from mmpareto.training.run import run

    trained = [
        run(config, out, progress=False)
        for out, config in configurations(base, method, seed, folder).items()
    ]
    if method != ENSEMBLE:
        return trained[0]
    seconds = sum(metrics["train"]["seconds"] for metrics in trained)
    averaged = {"train": {"seconds": seconds}, **_average(base, folder)}
    write_json(folder / METRICS, averaged)
    return averaged


def _average(base: RunConfig, folder: Path) -> Metrics:
    """Scores of each modality's own network and of their average, for each sample over the modalities that it has."""
    splits, target = base.data.load(), base.data.target
    models = {modality: load_run(folder / modality) for modality in base.shapes}
    metrics = {}
    for part in ("val", "test"):
        found = {
            m: predict(
                model, getattr(splits, part), config.shapes, target.outputs, workers=config.workers
            )
            for m, (config, model) in models.items()
        }
        metrics[part] = averaged(found, target).scores(target)
    return metrics
