"""The way from a trained model's folder to the model, imported when it is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mmpareto.training import TrainedModel


def load(
    run: Path | str, accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
) -> TrainedModel:
    """A trained model with its preprocessing, from the folder of its training.

    The folder is complete: neither the table nor other data are read, and nothing in it is run.
    Lightning is not needed.

    Args:
        run: Folder that ``mmpareto train`` wrote, wherever it is now.
        accelerator: Where the model computes: auto, cpu, gpu or mps.

    Returns:
        The model. Its `predict` takes a table or rows, its `expect` tensors; `module` is the
        ``nn.Module``.

    Raises:
        MMParetoError: If the folder holds no finished training, or its files have changed since.

    Example:
        >>> load("runs/none")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmpareto.errors.MMParetoError: Parameter `run` should be a folder that ...
    """
    from mmpareto import training

    return training.load(run, accelerator)
