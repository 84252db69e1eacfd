"""Lightning's trainer, on one process or on several."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy, ParallelStrategy, Strategy

from mmpareto.errors import MMParetoError
from mmpareto.training._checkpoint_io import AtomicCheckpoints
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity
from mmpareto.training._folder import CHECKPOINT, LAST
from mmpareto.training._tensorboard import TensorBoardFile


def make_trainer(
    config: RunConfig, out: Path, callbacks: list[lightning.Callback], progress: bool
) -> lightning.Trainer:
    """A trainer that knows which of the processes this is.

    It writes nothing yet and starts no others. It sets torch's switches for determinism; see
    `reproducible`.

    Raises:
        MMParetoError: If the processes asked for are not those there are.
    """
    _check_launched(config)
    save = partial(ModelCheckpoint, dirpath=out, enable_version_counter=False)
    best = save(
        filename=Path(CHECKPOINT).stem,
        monitor=f"val/joint_{config.data.target.metric}",
        mode="max",
        save_weights_only=True,
    )
    last = save(filename=Path(LAST).stem)
    try:
        trainer = lightning.Trainer(
            max_epochs=config.epochs,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=_strategy(config),
            use_distributed_sampler=False,  # each process takes its share of every batch itself
            deterministic=True,
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
