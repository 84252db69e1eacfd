"""One training, from a configuration to a folder with its results. Imports Lightning."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from torch.utils.data import DataLoader

from mmpareto._storage._csv import write_records
from mmpareto._storage._files import write_json
from mmpareto._storage._folders import make_folder
from mmpareto._storage._seal import SEAL, seal
from mmpareto.data import Batch, Splits
from mmpareto.diagnostics import GeometryRow
from mmpareto.training._building import build_model
from mmpareto.training._checkpoint_file import resumed_from
from mmpareto.training._class_weights import learned_target
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity
from mmpareto.training._evaluation import as_in_training, load_model, predict_parts
from mmpareto.training._first import check_alone, save_members, train_first
from mmpareto.training._folder import (
    CHECKPOINT,
    GEOMETRY,
    INTERFACE,
    LAST,
    METRICS,
    PREVIOUS,
    TEST_PREDICTIONS,
    WEIGHTS,
    Metrics,
    check_same,
    claim,
    stored_metrics,
    written,
)
from mmpareto.training._geometry_callback import GeometryCallback
from mmpareto.training._held_out import learning_parts
from mmpareto.training._interface import save_interface
from mmpareto.training._loading import evaluation_loader, training_loader
from mmpareto.training._model import check_strategy
from mmpareto.training._module import BalancedModule
from mmpareto.training._predicted_rows import save_test_predictions
from mmpareto.training._survey import Surveyor
from mmpareto.training._switches import quiet
from mmpareto.training._trainer import make_trainer
from mmpareto.training._weights import save_weights


def run(config: RunConfig, out: Path, *, progress: bool = True) -> Metrics:
    """Trains one model and tests the epoch with the best joint score on the validation part.

    The folder then holds ``config.yaml``, ``data_fingerprint.txt``, ``best.ckpt``,
    ``metrics.json``, ``geometry.csv``, ``test_predictions.csv``, ``checksums.json`` and ``logs/``;
    and ``model.safetensors`` and ``model.json``, which `mmpareto.load` takes. Called again it
    returns what is there; after an interruption it continues with the epoch that was interrupted.

    With several devices, Lightning starts the same program once more for each, unless a launcher
    did. The first process alone writes to the folder.

    Args:
        config: The training.
        out: The folder, made if needed.
        progress: Whether to show a progress bar.

    Returns:
        Scores by split, and under ``"train"`` conflict rates and the seconds it took; empty on
        processes other than the first.

    Raises:
        MMParetoError: If `out` cannot be written to, or holds another training or damaged files;
            if the processes asked for are not there; if a loss or a prediction is not finite.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from mmpareto import recipes
        >>> config = replace(recipes.cg_digits(), epochs=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     metrics = run(config, Path(folder) / "run", progress=False)
        >>> sorted(metrics["test"])
        ['colour_accuracy', 'gray_accuracy', 'joint_accuracy']
    """
    training = identity(config)  # refuses settings that no file can hold
    config.check_data()
    check_same(config, out)
    with quiet(), as_in_training(config):
        timer, recorder = Timer(), GeometryCallback()
        trainer = make_trainer(config, out, [timer, recorder], progress)
        metrics = stored_metrics(out)
        if metrics is None or not (out / SEAL).exists():  # which is made last
            splits = config.data.load()
            # What is wrong is found before the folder is taken.
            check_alone(config)
            module, loaders = _prepare(config, splits, trainer)
            if trainer.is_global_zero:
                claim(config, make_folder(out))
            trained, seconds = train_first(config, out, partial(run, progress=progress))
            module.surveyor.trained.update(trained)
            if config.method.trains:
                _fit(trainer, module, loaders, resumed_from(out, training))
            else:
                save_members(config, trained, out / CHECKPOINT)
            if trainer.is_global_zero:
                metrics = _results(config, out, splits, recorder)
                metrics["train"]["seconds"] = seconds + timer.time_elapsed("train")
                write_json(out / METRICS, metrics)
                seal(out, written(out))
                for name in (LAST, PREVIOUS):
                    (out / name).unlink(missing_ok=True)
    return metrics if metrics and trainer.is_global_zero else {}


def _results(config: RunConfig, out: Path, splits: Splits, recorder: GeometryCallback) -> Metrics:
    """Scores of the selected epoch and rates of conflict; the geometry goes into its file."""
    conflicts: dict[str, float] = {}
    for modality, rate in recorder.geometry.conflict_rates().items():
        conflicts[f"conflict_rate/{modality}"] = rate
    model, target = load_model(config, out / CHECKPOINT), config.data.target
    predictions = predict_parts(model, splits, config)
    scores = {part: of_part.scores(target) for part, of_part in predictions.items()}
    write_records(out / GEOMETRY, GeometryRow, recorder.geometry.rows())
    save_test_predictions(predictions["test"], target, out / TEST_PREDICTIONS)
    if save_interface(config, splits, out / INTERFACE):
        save_weights(model, out / WEIGHTS, identity(config))
    return {"train": conflicts, **scores}


Loaders = tuple[DataLoader[Batch], DataLoader[Batch]]


def _prepare(
    config: RunConfig, splits: Splits, trainer: lightning.Trainer
) -> tuple[BalancedModule, Loaders]:
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    check_strategy(config)
    model = build_model(config)
    learned, held_out = learning_parts(config, splits.train)
    surveyor = Surveyor(config, learned, held_out)
    module = BalancedModule(model, learned_target(config, learned), config, surveyor)
    pin = trainer.strategy.root_device.type == "cuda"
    train = training_loader(
        learned,
        config,
        rank=trainer.global_rank,
        processes=trainer.world_size,
        pin=pin,
        turns=len(config.method.turns(tuple(config.shapes))),
    )
    # Every process evaluates all of it: shares of different lengths would need different numbers of
    # forward passes, and where parameters are sharded each of those waits for all processes.
    val = evaluation_loader(splits.val, config.shapes, workers=config.workers, pin=pin)
    return module, (train, val)


def _fit(
    trainer: lightning.Trainer, module: BalancedModule, loaders: Loaders, checkpoint: Path | None
) -> None:
    """Trains, from a checkpoint on if there is one."""
    if trainer.world_size > 1:
        # Or Lightning chooses the number of threads, and that of the processes it starts.
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    try:
        trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stopped:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from stopped
    except BaseException:  # the processes that Lightning started would wait for this one
        if trainer.strategy.launcher:
            trainer.strategy.launcher.kill(signal.SIGKILL)
        raise
