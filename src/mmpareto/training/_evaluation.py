"""Predictions of a trained model, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from torch.nn import functional

from mmpareto.balancing import Uniform
from mmpareto.data import MultimodalDataset, Splits
from mmpareto.diagnostics import GeometryLog, GeometryRow
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel, Output
from mmpareto.partition import Partition
from mmpareto.step import backward
from mmpareto.training._config import RunConfig, load_config
from mmpareto.training._folder import CHECKPOINT, CONFIG
from mmpareto.training._loading import evaluation_loader, training_loader


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Computes with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def objectives(output: Output, label: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of the joint and of each unimodal prediction."""
    return {name: functional.cross_entropy(logits, label) for name, logits in output.logits.items()}


def accuracies(logits: Mapping[str, Tensor], label: Tensor) -> dict[str, float]:
    """Share of correct predictions, as ``{objective}_accuracy``.

    Example:
        >>> accuracies({"joint": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}, torch.tensor([1, 1]))
        {'joint_accuracy': 0.5}
    """
    correct = {name: (values.argmax(1) == label).double().mean() for name, values in logits.items()}
    return {f"{name}_accuracy": share.item() for name, share in correct.items()}


@torch.no_grad()
def predict(model: MultimodalModel, dataset: MultimodalDataset) -> tuple[dict[str, Tensor], Tensor]:
    """Logits [N, classes] by objective, and labels [N], of a whole data set."""
    model.eval()
    outputs, labels = [], []
    for batch in evaluation_loader(dataset):
        outputs.append(model(batch["inputs"]).logits)
        labels.append(batch["label"])
    return {name: torch.cat([logits[name] for logits in outputs]) for name in outputs[0]}, torch.cat(labels)


def evaluate(model: MultimodalModel, splits: Splits) -> dict[str, dict[str, float]]:
    """Accuracies on the validation and the test part."""
    return {part: accuracies(*predict(model, getattr(splits, part))) for part in ("val", "test")}


def load_run(folder: Path) -> tuple[RunConfig, MultimodalModel]:
    """The configuration and the selected model of a finished training.

    Raises:
        MMParetoError: If `folder` holds none.
    """
    config = load_config(folder / CONFIG)
    path = folder / CHECKPOINT
    if not path.is_file():
        raise MMParetoError(f"Parameter `run` should be a folder with a finished training. Found no file {path}.")
    model = config.model.build(config.shapes, len(config.data.classes))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    except (RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        raise MMParetoError(
            f"{path} should hold the weights of the model in {CONFIG}. Found {type(error).__name__} on reading it."
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
    for batch in training_loader(config.data.load().train, config.batch_size, config.seed):
        yield objectives(model(batch["inputs"]), batch["label"])
