"""The folder of one training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmpareto._storage._files import clear_leftovers, read_text, write_atomically
from mmpareto._storage._folders import make_inside
from mmpareto._storage._seal import SEAL, faults
from mmpareto.errors import MMParetoError
from mmpareto.training._config import NOT_IN_RESULT, RunConfig
from mmpareto.training._config_file import describe, load_config, save_config

CONFIG, CHECKPOINT = "config.yaml", "best.ckpt"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
METRICS, GEOMETRY, DATA = "metrics.json", "geometry.csv", "data_fingerprint.txt"
WEIGHTS, INTERFACE = "model.safetensors", "model.json"
TEST_PREDICTIONS = "test_predictions.csv"
FINISHED = (CONFIG, CHECKPOINT, GEOMETRY, METRICS)
"""What a finished training has, and what belongs together."""
SERVED = (CONFIG, WEIGHTS, INTERFACE, METRICS)
"""What using its model needs, without its data."""
_MORE = (WEIGHTS, INTERFACE, TEST_PREDICTIONS)
LOGS = ("csv", "tensorboard")
SPLITS = ("train", "val", "test")

Metrics = dict[str, dict[str, float]]
"""``{split: {metric: value}}``."""


def stored_metrics(folder: Path) -> Metrics | None:
    """Results of a finished training; None where it is not finished.

    Raises:
        MMParetoError: If the file is not what a training writes, or has changed since.
    """
    path = folder / METRICS
    if not path.exists():
        return None
    try:
        metrics = _numbers(json.loads(read_text(path)))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        found = f"{type(error).__name__} {error}"
        raise MMParetoError(
            f"{path} should hold a training's metrics. Found: {found}. Delete it to repeat."
        ) from error
    check_unchanged(folder, METRICS)
    return metrics


def is_finished(folder: Path, names: Sequence[str] = FINISHED) -> bool:
    """Whether a folder has all files that belong together, sealed and unchanged."""
    return (folder / SEAL).exists() and not faults(folder, names)


def check_unchanged(folder: Path, name: str) -> None:
    """Checks that a file of a finished training is the one that it wrote.

    Raises:
        MMParetoError: If the checksums in the folder say otherwise.
    """
    changes = faults(folder, (name,))
    if changes:
        raise MMParetoError(
            f"{folder / name} should be the file that the training wrote. Found: {changes[0]}. "
            "Delete the folder to repeat the training, or bring its files back."
        )


def written(folder: Path) -> list[str]:
    """The files of a finished training that are never changed again."""
    return [*FINISHED, *(name for name in _MORE if (folder / name).exists())]


def _numbers(metrics: Any) -> Metrics:
    numbers: Metrics = {}
    for split in SPLITS:
        numbers[split] = {name: float(value) for name, value in metrics[split].items()}
    return numbers


def check_same(config: RunConfig, folder: Path) -> None:
    """Checks that `folder` holds no other training, nor one on data that have changed since.

    Raises:
        MMParetoError: If it does; the message says in what they differ.
    """
    if not (folder / CONFIG).exists():
        return
    changes = _changes(describe(load_config(folder / CONFIG)), describe(config))
    if changes:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very training. Found in "
            f"{folder} another ({'; '.join(changes)}). Choose another folder."
        )
    check_data(config, folder)


def _changes(stored: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What differs between two trainings' settings, as far as it bears on the result."""
    changes: list[str] = []
    for key, value in given.items():
        if key not in NOT_IN_RESULT and stored[key] != value:
            changes.append(f"{key} {stored[key]} there, {value} now")
    return changes


def check_data(config: RunConfig, folder: Path) -> None:
    """Checks that the data are those that `folder` has been trained on.

    Raises:
        MMParetoError: If the files that say which samples there are have changed.
    """
    if (folder / DATA).exists() and read_text(folder / DATA) != config.data.fingerprint:
        raise MMParetoError(
            f"Parameter `data` should be what {folder} was trained on. Found that the table or "
            f"lists of {config.data.name} have changed since, or are gone. Choose another folder, "
            "or bring them back."
        )


def claim(config: RunConfig, folder: Path) -> None:
    """Makes `folder` that of this training, and clears what a killed one left half-written."""
    clear_leftovers(folder)
    for log in LOGS:
        make_inside(folder, "logs", log)
    if not (folder / CONFIG).exists():
        write_atomically(folder / DATA, config.data.fingerprint)
        save_config(config, folder / CONFIG)
