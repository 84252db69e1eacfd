"""Trainings that come before another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from mmpareto._storage._names import file_name
from mmpareto.errors import MMParetoError
from mmpareto.models import Ensemble, MultimodalModel
from mmpareto.training._checkpoint_io import AtomicCheckpoints
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity
from mmpareto.training._evaluation import load_run
from mmpareto.training._folder import Metrics

Run = Callable[[RunConfig, Path], Metrics]
"""Makes one training in a folder."""


def check_alone(config: RunConfig) -> None:
    """Raises if trainings have to come first where several processes train together."""
    if config.processes > 1 and config.method.trainings(config):
        raise MMParetoError(
            "Parameters `devices` and `num_nodes` should be 1 for a method whose other trainings "
            f"come first. Found {config.processes} processes for {config.method.name}."
        )


def train_first(config: RunConfig, out: Path, run: Run) -> tuple[dict[str, MultimodalModel], float]:
    """Makes the trainings that have to come first, each in a folder of its own below `out`.

    Returns:
        Their selected models by name, and the seconds that they took.
    """
    models: dict[str, MultimodalModel] = {}
    seconds = 0.0
    with _generator_untouched():
        for name, training in config.method.trainings(config).items():
            folder = out / file_name(name)
            seconds += run(training, folder)["train"]["seconds"]
            models[name] = load_run(folder)[1]
    return models, seconds


def save_members(config: RunConfig, trained: Mapping[str, MultimodalModel], path: Path) -> None:
    """Writes the weights of models trained before, as those of the model that they make up."""
    state = {}
    for name, value in Ensemble(trained, config.data.target).state_dict().items():
        state[f"model.{name}"] = value
    AtomicCheckpoints(identity(config)).save_checkpoint({"state_dict": state}, path)


@contextmanager
def _generator_untouched() -> Iterator[None]:
    """Leaves torch's global generator as it was: a resumed training draws what it would have."""
    with torch.random.fork_rng(devices=[]):
        yield
