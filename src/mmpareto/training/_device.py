"""The device that a training computes on, and how batches get there."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmpareto.data import Batch, PendingBatch
from mmpareto.errors import MMParetoError
from mmpareto.specs import Target

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu", "mps"]
"""Where a model computes; auto is gpu where there is one."""

SCORED = "scored_label"
"""Under which key a batch on a device has its labels as the data set gives them."""


def choose_device(accelerator: str, devices: int = 1) -> torch.device:
    """The first device of an accelerator; with auto, the processor where there is no accelerator.

    Args:
        accelerator: auto, cpu, gpu or mps.
        devices: Number of devices that are needed.

    Raises:
        MMParetoError: If this machine has fewer of them.

    Example:
        >>> choose_device("cpu", devices=4)
        device(type='cpu')
    """
    kinds = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(
        accelerator, (accelerator,)
    )
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    available = [kind for kind in kinds if counts.get(kind, 1)]
    if not available:
        raise MMParetoError(
            f"Parameter `accelerator` should be one that this machine has. Found {accelerator}. "
            "Use auto or cpu."
        )
    count = counts.get(available[0], devices)  # any number of processes shares the processor
    if count < devices:
        raise MMParetoError(
            f"Parameter `devices` should be at most {count}, the number of {available[0]} devices "
            f"of this machine. Found {devices}. Lower it, or set `accelerator` to cpu."
        )
    return torch.device(available[0])


def on_device(batch: Batch, target: Target, device: torch.device) -> Batch:
    """A loader's batch where a model computes.

    Inputs travel as the loader has them, such as bytes, and are finished there. Labels are
    standardised before: no float64 gets on a device, which a Mac's does not have.

    Args:
        batch: The batch.
        target: What its labels are of.
        device: The device.

    Returns:
        The batch with labels as `target.loss` takes them, and those of the data set under `SCORED`.
    """
    waits = device.type != "cuda"  # which alone knows when memory is free again
    inputs: dict[str, Tensor] = {}
    for modality, values in batch["inputs"].items():
        moved = values.to(device, non_blocking=not waits)
        inputs[modality] = moved.finished() if isinstance(moved, PendingBatch) else moved
    rows: dict[str, Tensor] = {}
    for name, samples in batch["rows"].items():
        rows[name] = samples.to(device, non_blocking=not waits)
    label = target.standardised(batch["label"]).to(device, non_blocking=not waits)
    return {**batch, "inputs": inputs, "rows": rows, "label": label, SCORED: batch["label"]}
