"""The model of a training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mmpareto.errors import MMParetoError
from mmpareto.models import Ensemble, LateFusion, MultimodalModel
from mmpareto.training._config import RunConfig
from mmpareto.training._model import adapt


def build_model(config: RunConfig) -> MultimodalModel:
    """The model of a training, with new weights; its encoders are compiled if the training's are.

    Raises:
        MMParetoError: If encoders are to be compiled that are not run as a whole, or the method
            cannot train the model.
    """
    if not config.method.trains:
        members: dict[str, MultimodalModel] = {}
        for name, training in config.method.trainings(config).items():
            members[name] = build_model(training)
        return Ensemble(members, config.data.target)
    model = config.model.build(config.shapes, config.data.target.outputs)
    adapt(model, config)
    if config.compile:
        if not isinstance(model, LateFusion):
            raise MMParetoError(
                "Parameter `compile` should be false for a model that runs its encoders part by "
                f"part. Found {type(model).__name__}."
            )
        for encoder in model.encoders.values():
            _compile(encoder)
    return model


def _compile(module: nn.Module) -> None:
    """Compiles a module in place, so that the names of its parameters stay."""
    forward = module.forward

    def run(*inputs: Any) -> Any:  # torch.compile passes over torch's own functions
        return forward(*inputs)

    module.forward = torch.compile(run)
