"""The optimizer of a training, and how its learning rates change."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning
import torch

from mmpareto.models import MultimodalModel
from mmpareto.optimizers import parameter_groups
from mmpareto.training._config import RunConfig


def optimization(config: RunConfig, model: MultimodalModel, trainer: lightning.Trainer) -> Any:
    """The optimizer of all parameters, with a scheduler where the learning rates change.

    Args:
        config: The training.
        model: Its model.
        trainer: Knows the steps of the whole training.

    Returns:
        What Lightning asks a module for.
    """
    groups = parameter_groups(model, model.encoders, config.lr_factors or {})
    optimizer, schedule = config.optimizer.make(groups), config.schedule
    for group in optimizer.param_groups:
        group["lr"] *= group["factor"]
    if not schedule.changes:
        return optimizer
    total = int(trainer.estimated_stepping_batches)
    rate = partial(schedule.factor_at, epoch=total // config.epochs, total=total)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step))
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}]
