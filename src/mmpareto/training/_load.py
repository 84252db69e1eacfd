"""From the folder of a finished training to its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.training._building import make_model
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import identity, load_config
from mmpareto.training._device import Accelerator
from mmpareto.training._folder import CONFIG, INTERFACE, SERVED, WEIGHTS, check_unchanged
from mmpareto.training._interface import Interface, load_interface
from mmpareto.training._trained_model import TrainedModel
from mmpareto.training._weights import load_weights


def load(run: Path | str, accelerator: Accelerator = "auto") -> TrainedModel:
    """A trained model with its preprocessing, from the folder of its training.

    The folder is complete: neither the table nor other data are read, and nothing in it is run.

    Args:
        run: Folder that ``mmpareto train`` wrote, wherever it is now.
        accelerator: Where the model computes: auto, cpu, gpu or mps.

    Raises:
        MMParetoError: If the folder holds no finished training, or its files have changed since.
    """
    folder = Path(run)
    if (folder / CONFIG).is_file() and not (folder / WEIGHTS).is_file():
        raise MMParetoError(
            f"Parameter `run` should be a folder with a finished training. Found {folder} without "
            f"{WEIGHTS}: the command that began it continues it."
        )
    config = replace(load_config(folder / CONFIG), accelerator=accelerator)
    for name in SERVED:
        check_unchanged(folder, name)
    interface, reader = load_interface(folder / INTERFACE)
    module = _build(config, interface, folder / INTERFACE)
    load_weights(module, folder / WEIGHTS, identity(config))
    return TrainedModel(config, interface, module, reader)


def _build(config: RunConfig, interface: Interface, path: Path) -> MultimodalModel:
    """A model with the caller's random draws left as they are."""
    try:
        with torch.random.fork_rng(devices=()):
            named = replace(config, modalities=tuple(interface.shapes))
            return make_model(named, interface.shapes, interface.target)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise MMParetoError(
            f"{path} should say what the model in {CONFIG} takes. Found: "
            f"{' '.join(str(error).split())}"
        ) from error
