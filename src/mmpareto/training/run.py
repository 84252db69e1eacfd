"""One training, from a configuration to a folder with its results. Imports Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from mmpareto.data import Batch, Splits
from mmpareto.diagnostics import GeometryRow
from mmpareto.errors import MMParetoError
from mmpareto.files import make_folder, write_json
from mmpareto.records import write_records
from mmpareto.training._config import RunConfig
from mmpareto.training._evaluation import evaluate, load_run, threads
from mmpareto.training._folder import CHECKPOINT, GEOMETRY, LAST, METRICS, Metrics, check_same, claim, stored_metrics
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._module import BalancedModule, GeometryCallback


def run(config: RunConfig, out: Path, *, progress: bool = True) -> Metrics:
    """Trains one model and tests the epoch with the best joint accuracy on the validation part.

    The folder then holds ``config.yaml``, ``best.ckpt``, ``metrics.json``, ``geometry.csv`` and ``logs/``. Called
    again it returns what is there; after an interruption it continues with the epoch that was interrupted.

    Args:
        config: The training.
        out: The folder, made if needed.
        progress: Whether to show a progress bar.

    Returns:
        Accuracies by split, and under ``"train"`` conflict rates and the seconds it took.

    Raises:
        MMParetoError: If `out` cannot be written to, or holds another training.
    """
    check_same(config, out)
    if (metrics := stored_metrics(out)) is None:
        splits = config.data.load()
        with _quiet(), threads(config.threads):
            module, loaders = _prepare(config, splits)  # what is wrong is found before the folder is taken
            claim(config, make_folder(out))
            train = _fit(module, loaders, config.epochs, out, progress)
            metrics = {"train": train, **evaluate(load_run(out)[1], splits)}
        write_json(out / METRICS, metrics)
        (out / LAST).unlink(missing_ok=True)
    return metrics


Loaders = tuple[DataLoader[Batch], DataLoader[Batch]]


def _prepare(config: RunConfig, splits: Splits) -> tuple[BalancedModule, Loaders]:
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    model = config.model.build(config.shapes, len(config.data.classes))
    module = BalancedModule(model, config.method, config.optimizer, config.geometry_every)
    return module, (training_loader(splits.train, config.batch_size, config.seed), evaluation_loader(splits.val))


def _fit(module: BalancedModule, loaders: Loaders, epochs: int, out: Path, progress: bool) -> dict[str, float]:
    """Trains, leaving the best epoch's weights in `out`."""
    timer, recorder = Timer(), GeometryCallback()
    save = partial(ModelCheckpoint, dirpath=out, enable_version_counter=False)
    best = save(filename=Path(CHECKPOINT).stem, monitor="val/joint_accuracy", mode="max", save_weights_only=True)
    last = save(filename=Path(LAST).stem)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        devices=1,
        deterministic=True,
        callbacks=[timer, recorder, best, last],
        logger=[CSVLogger(out / "logs", "csv"), TensorBoardLogger(out / "logs", "tensorboard")],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, *loaders, ckpt_path=_interrupted(out / LAST), weights_only=True)
    except SystemExit as stopped:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from stopped
    write_records(out / GEOMETRY, GeometryRow, recorder.geometry.rows())
    rates = {f"conflict_rate/{modality}": rate for modality, rate in recorder.geometry.conflict_rates().items()}
    return rates | {"seconds": timer.time_elapsed("train")}


def _interrupted(path: Path) -> Path | None:
    """The checkpoint to continue from, if there is one."""
    if not path.exists():
        return None
    try:
        torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise MMParetoError(
            f"{path} should be the checkpoint of an interrupted training. Found {type(error).__name__} on reading it. "
            "Delete it to start again."
        ) from error
    return path


_HINTS = (
    ".*does not have many workers",  # the data are in memory
    "Checkpoint directory .* exists and is not empty",  # it is the run's own
    ".*LeafSpec.* is deprecated",  # Lightning 2.6 under torch 2.13
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Lightning's hints, which concern neither the result nor the user."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for hint in _HINTS:
            warnings.filterwarnings("ignore", message=hint)
        try:
            yield
        finally:
            logger.setLevel(level)
