"""Predictions of a trained model, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmpareto.balancing import Uniform
from mmpareto.data import MultimodalDataset, Splits
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.partition import Partition
from mmpareto.specs import Shape, Target
from mmpareto.step import backward
from mmpareto.training._checkpoint_file import read_checkpoint
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity, load_config
from mmpareto.training._folder import CHECKPOINT, CONFIG, check_data, check_unchanged
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._model import build_model
from mmpareto.training._predictions import Collector, Predictions, objectives, predicted
from mmpareto.training._switches import threads


@torch.no_grad()
def predict(
    model: MultimodalModel,
    dataset: MultimodalDataset,
    shapes: Mapping[str, Shape],
    outputs: int,
    *,
    workers: int = 0,
) -> Predictions:
    """Predictions for all samples of a data set.

    Args:
        model: The model; it is left in evaluation mode.
        dataset: The samples.
        shapes: For each modality that the model reads, the shape of one sample.
        outputs: Width of a prediction.
        workers: Processes that load the samples; 0 loads in this one.

    Raises:
        MMParetoError: If a prediction is not finite.
    """
    model.eval()
    collector = Collector(model.encoders, outputs)
    for batch in evaluation_loader(dataset, shapes, workers=workers):
        collector.add(predicted(model, batch), batch)
    predictions = collector.result()
    predictions.check_finite("of the model")
    return predictions


def evaluate(
    model: MultimodalModel,
    splits: Splits,
    target: Target,
    shapes: Mapping[str, Shape],
    *,
    workers: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores on the validation and the test part, ``{part: {metric: score}}``.

    Args:
        model: The model; it is left in evaluation mode.
        splits: The data.
        target: What the model predicts.
        shapes: For each modality that the model reads, the shape of one sample.
        workers: Processes that load the samples; 0 loads in this one.
    """
    scores: dict[str, dict[str, float]] = {}
    for part, dataset in (("val", splits.val), ("test", splits.test)):
        predictions = predict(model, dataset, shapes, target.outputs, workers=workers)
        scores[part] = predictions.scores(target)
    return scores


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


def magnitudes(folder: Path) -> list[GeometryRow]:
    """Geometry of one epoch's mini-batches at a finished training's selected model.

    The model stays as it is.
    """
    config, model = load_run(folder)
    log, partition = GeometryLog(), Partition(model, **model.encoders)
    with threads(config.threads):
        for number, losses in enumerate(_losses(config, model.train())):
            log.record(number, backward(losses, partition, Uniform()))
            model.zero_grad()
    return log.rows()


def _losses(config: RunConfig, model: MultimodalModel) -> Iterator[dict[str, Tensor]]:
    target, train = config.data.target, config.data.load().train
    loader = training_loader(
        train, config.shapes, config.batch_size, config.seed, workers=config.workers
    )
    for batch in loader:
        losses = objectives(target, model, batch)
        if losses:
            yield losses
