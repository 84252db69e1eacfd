"""What a class counts for in the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from mmpareto.data import MultimodalDataset
from mmpareto.specs import Classes, Target
from mmpareto.training._config import RunConfig


def learned_target(config: RunConfig, train: MultimodalDataset) -> Target:
    """The target of a training, with the loss that it learns by.

    Args:
        config: The training.
        train: Its training part, whose labels are counted for balanced weights.
    """
    target = config.data.target
    if not isinstance(target, Classes):
        return target
    weights = None
    if isinstance(config.class_weights, Mapping):
        weights = tuple(config.class_weights.get(name, 1.0) for name in target.names)
    elif config.class_weights == "balanced":
        counts = torch.bincount(train.all_labels(), minlength=target.outputs)
        # A class without samples counts as if it had one.
        weights = tuple((len(train) / (target.outputs * counts.clamp(min=1))).tolist())
    return replace(target, weights=weights, smoothing=config.label_smoothing)
