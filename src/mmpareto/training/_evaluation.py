"""Predictions of a trained model, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mmpareto.balancing import Uniform
from mmpareto.data import MultimodalDataset, Splits
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import Partition
from mmpareto.step import backward
from mmpareto.training._building import build_model
from mmpareto.training._checkpoint_file import read_checkpoint
from mmpareto.training._class_weights import learned_target
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity, load_config
from mmpareto.training._device import choose_device, on_device
from mmpareto.training._folder import CHECKPOINT, CONFIG, check_data, check_unchanged
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._predictions import Collector, Predictions, objectives, predicted
from mmpareto.training._switches import computing


@contextmanager
def as_in_training(config: RunConfig) -> Iterator[torch.device]:
    """Computes as the training of a configuration does, on the device that it gives."""
    device = choose_device(config.accelerator)
    with computing(config.threads, device):
        yield device


@torch.no_grad()
def predict(model: MultimodalModel, dataset: MultimodalDataset, config: RunConfig) -> Predictions:
    """Predictions for all samples of a data set, made where and as the training validated.

    Args:
        model: The model; it is left in evaluation mode, and on the training's device.
        dataset: The samples.
        config: The model's training.

    Raises:
        MMParetoError: If a prediction is not finite.
    """
    target, collector = config.data.target, Collector(model.encoders, config.data.target.outputs)
    with as_in_training(config) as device:
        model.eval().to(device)
        pin = device.type == "cuda"
        for loaded in evaluation_loader(dataset, config.shapes, workers=config.workers, pin=pin):
            batch = on_device(loaded, target, device)
            with autocast(config, device):
                collector.add(predicted(model, batch), batch)
    predictions = replace(collector.result(), joint_is_expected=model.joint_is_expected)
    predictions.check_finite("of the model")
    return predictions


def evaluate(
    model: MultimodalModel, splits: Splits, config: RunConfig
) -> dict[str, dict[str, float]]:
    """Scores on the validation and the test part, ``{part: {metric: score}}``.

    Args:
        model: The model; it is left in evaluation mode, and on the training's device.
        splits: The data.
        config: The model's training.
    """
    target = config.data.target
    predictions = predict_parts(model, splits, config)
    return {part: of_part.scores(target) for part, of_part in predictions.items()}


def predict_parts(
    model: MultimodalModel, splits: Splits, config: RunConfig
) -> dict[str, Predictions]:
    """Predictions for the validation and the test part, as `predict` makes them."""
    parts = {"val": splits.val, "test": splits.test}
    return {part: predict(model, dataset, config) for part, dataset in parts.items()}


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
    check_unchanged(folder, CHECKPOINT)
    return config, load_model(config, path)


def load_model(config: RunConfig, path: Path) -> MultimodalModel:
    """The model of a training, with the weights of a checkpoint.

    Raises:
        MMParetoError: If the checkpoint is damaged, or of another training.
    """
    state = read_checkpoint(path, identity(config))["state_dict"]
    model = build_model(config)
    try:
        model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    except (RuntimeError, AttributeError, TypeError) as error:
        raise MMParetoError(
            f"{path} should hold the weights of the model in {CONFIG}. Found "
            f"{type(error).__name__} on reading it."
        ) from error
    return model


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """Computes with the numbers that the training computed with."""
    dtype = torch.float16 if config.precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=config.precision != "32-true")


def magnitudes(folder: Path) -> list[GeometryRow]:
    """Geometry of one epoch's mini-batches at a finished training's selected model.

    The model stays as it is. It computes where and as it was trained.
    """
    config, model = load_run(folder)
    with as_in_training(config) as device:
        model.train().to(device)
        log, partition = GeometryLog(), Partition(model, **model.encoders)
        for number, losses in enumerate(_losses(config, model, device)):
            log.record(number, backward(losses, partition, Uniform()))
            model.zero_grad()
    return log.rows()


def _losses(
    config: RunConfig, model: MultimodalModel, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    train = config.data.load().train
    target, pin = learned_target(config, train), device.type == "cuda"
    # What of the settings divides a batch is left out: the figure is of whole mini-batches.
    for loaded in training_loader(train, replace(config, accumulate=1), pin=pin):
        batch = on_device(loaded, target, device)
        with autocast(config, device):
            losses = objectives(target, model, batch)
        if losses:
            yield losses
