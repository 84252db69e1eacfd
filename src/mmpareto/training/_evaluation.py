"""Predictions of a trained model, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from mmpareto.balancing import Uniform
from mmpareto.data import MultimodalDataset, Splits
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import Partition
from mmpareto.step import backward
from mmpareto.training._config import RunConfig, load_config
from mmpareto.training._folder import CHECKPOINT, CONFIG, check_data
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._predictions import Collector, Predictions, objectives, predicted


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def predict(config: RunConfig, model: MultimodalModel, dataset: MultimodalDataset) -> Predictions:
    """Predictions of a whole part of the data set of a training."""
    model.eval()
    collector = Collector(model.encoders, config.data.target.outputs)
    for batch in evaluation_loader(dataset, config.shapes, workers=config.workers):
        collector.add(predicted(model, batch), batch)
    return collector.result()


def evaluate(
    config: RunConfig, model: MultimodalModel, splits: Splits
) -> dict[str, dict[str, float]]:
    """Scores on the validation and the test part."""
    target = config.data.target
    return {
        part: predict(config, model, getattr(splits, part)).scores(target)
        for part in ("val", "test")
    }


def load_run(folder: Path) -> tuple[RunConfig, MultimodalModel]:
    """The configuration and the selected model of a finished training.

    Raises:
        MMParetoError: If `folder` holds none, or the data have changed since.
    """
    config = load_config(folder / CONFIG)
    check_data(config, folder)
    path = folder / CHECKPOINT
    if not path.is_file():
        raise MMParetoError(
            f"Parameter `run` should be a folder with a finished training. Found no file {path}."
        )
    model = config.model.build(config.shapes, config.data.target.outputs)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    except (RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise MMParetoError(
            f"{path} should hold the weights of the model in {CONFIG}. Found "
            f"{type(error).__name__} on reading it."
        ) from error
    return config, model


def magnitudes(folder: Path) -> list[GeometryRow]:
    """Geometry of one epoch's mini-batches at the selected model of a finished training, which stays fixed."""
    config, model = load_run(folder)
    log, partition = GeometryLog(), Partition(model, **model.encoders)
    with threads(config.threads):
        for number, losses in enumerate(_losses(config, model.train())):
            log.record(number, backward(losses, partition, Uniform()))
            model.zero_grad()
    return log.rows()


def _losses(config: RunConfig, model: MultimodalModel) -> Iterator[dict[str, Tensor]]:
    target, train = config.data.target, config.data.load().train
    for batch in training_loader(
        train, config.shapes, config.batch_size, config.seed, workers=config.workers
    ):
        if losses := objectives(target, model, batch):
            yield losses
