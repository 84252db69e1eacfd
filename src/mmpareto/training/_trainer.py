"""Lightning's trainer, on one process or on several."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy, ParallelStrategy, Strategy

from mmpareto.errors import MMParetoError
from mmpareto.training._checkpoint_io import AtomicCheckpoints
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity
from mmpareto.training._device import choose_device
from mmpareto.training._folder import CHECKPOINT, LAST
from mmpareto.training._tensorboard import TensorBoardFile


def make_trainer(
    config: RunConfig, out: Path, callbacks: list[lightning.Callback], progress: bool
) -> lightning.Trainer:
    """A trainer that knows which of the processes this is.

    It writes nothing yet and starts no others.

    Raises:
        MMParetoError: If the processes or devices asked for are not those there are.
    """
    device = choose_device(config.accelerator, config.devices)
    _check_launched(config)
    _check_precision(config, device)
    save = partial(ModelCheckpoint, dirpath=out, enable_version_counter=False)
    best = save(
        filename=Path(CHECKPOINT).stem,
        monitor=f"val/joint_{config.data.target.metric}",
        mode="max",
        save_weights_only=True,
    )
    last = save(filename=Path(LAST).stem)
    if config.patience is not None:
        metric, patience = str(best.monitor), config.patience
        ending = Patience(metric, mode="max", patience=patience, check_finite=False)
        callbacks = [*callbacks, ending]
    try:
        trainer = lightning.Trainer(
            max_epochs=config.epochs,
            precision=config.precision,
            gradient_clip_val=config.clip,
            accumulate_grad_batches=config.accumulate,
            accelerator=device.type,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=_strategy(config),
            use_distributed_sampler=False,  # each process takes its share of every batch itself
            callbacks=[*callbacks, best, last],
            plugins=[AtomicCheckpoints(identity(config))],
            logger=[CSVLogger(out / "logs", "csv"), TensorBoardFile(out / "logs" / "tensorboard")],
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
        if isinstance(trainer.strategy, ParallelStrategy) and trainer.strategy.cluster_environment:
            trainer.strategy.cluster_environment.validate_settings(config.devices, config.num_nodes)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise MMParetoError(
            "Parameter `devices` should be devices that this machine has, and `num_nodes` those "
            f"of the job. Found {config.devices} and {config.num_nodes}: {error}"
        ) from error
    return trainer


def _strategy(config: RunConfig) -> str | Strategy:
    if config.strategy == "fsdp":
        # Lightning's "fsdp" is FSDP1, whose parameters belong to no encoder.
        return ModelParallelStrategy(
            config.processes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    return "ddp" if config.strategy == "ddp" or config.processes > 1 else "auto"


class Patience(EarlyStopping):
    """Ends a training that does not get better, also one that was interrupted before it ended."""

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Ends what should have ended when its checkpoint was written."""
        trainer.should_stop = self.wait_count >= self.patience


def _check_precision(config: RunConfig, device: torch.device) -> None:
    if config.precision == "16-mixed" and device.type != "cuda":
        raise MMParetoError(
            f"Parameter `precision` should be 32-true or bf16-mixed on {device.type}. Found "
            "16-mixed, which needs CUDA."
        )


def _check_launched(config: RunConfig) -> None:
    """Raises unless whoever launched this process launched as many as the configuration says.

    Lightning does not ask in a training of one process, which all would then run, writing to the
    same files.
    """
    elastic = "TORCHELASTIC_RUN_ID" in os.environ
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if interactive and not elastic:  # Lightning launches there itself
        return
    name = "WORLD_SIZE" if elastic else "SLURM_STEP_NUM_TASKS"
    launched = int(os.environ.get(name, config.processes))
    if launched != config.processes:
        raise MMParetoError(
            f"Parameters `devices` and `num_nodes` should have the product {launched}, the number "
            f"of processes that were launched. Found {config.devices} and {config.num_nodes}. Set "
            "them, or launch one process."
        )
