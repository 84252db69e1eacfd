"""The model of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mmpareto.errors import MMParetoError
from mmpareto.models import Ensemble, LateFusion, MultimodalModel
from mmpareto.specs import Shape, Target
from mmpareto.training._config import RunConfig
from mmpareto.training._model import adapt


def build_model(config: RunConfig) -> MultimodalModel:
    """The model of a training, with new weights; its encoders are compiled if the training's are.

    Raises:
        MMParetoError: If encoders are to be compiled that are not run as a whole, or the method
            cannot train the model.
    """
    return make_model(config, config.shapes, config.data.target, compiled=config.compile)


def make_model(
    config: RunConfig, shapes: Mapping[str, Shape], target: Target, *, compiled: bool = False
) -> MultimodalModel:
    """The model of a training for data that are not asked.

    Args:
        config: The training, which names its modalities if its method trains others first.
        shapes: For each modality the shape of one sample.
        target: What is predicted.
        compiled: Whether encoders are compiled.

    Raises:
        MMParetoError: See `build_model`.
    """
    if not config.method.trains:
        members: dict[str, MultimodalModel] = {}
        for name, training in config.method.trainings(config).items():
            mine = {modality: shapes[modality] for modality in training.modalities or shapes}
            members[name] = make_model(training, mine, target, compiled=compiled)
        return Ensemble(members, target)
    model = config.model.build(shapes, target.outputs)
    adapt(model, config.method, target)
    if compiled:
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
