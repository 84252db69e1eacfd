"""Encoders compiled by torch.compile."""

from __future__ import annotations

from mmpareto.models import MultimodalModel
from mmpareto.training._config import RunConfig


def compile_encoders(model: MultimodalModel, config: RunConfig) -> None:
    """Compiles the encoders of a model in place, if its training does."""
    if config.compile:
        for encoder in model.encoders.values():
            encoder.compile()
