"""A model and a method that fit together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from mmpareto.balancing import AT_WORK, Method, overrides, spread_over
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel, Output, can_split
from mmpareto.specs import Target
from mmpareto.training._config import RunConfig


def adapt(model: MultimodalModel, method: Method, target: Target) -> None:
    """Makes a new model one that a method can train for a target.

    Raises:
        MMParetoError: If there is no way.
    """
    check_fits(method, model, target)
    method.adapt(model)
    if overrides(method, "combine"):
        model.register_forward_hook(_Combined(method), with_kwargs=True)


def check_fits(method: Method, model: nn.Module, target: Target) -> None:
    """Raises unless a model and a target have what a method relies on."""
    if "fuse" in method.relies_on and not can_split(model):
        raise MMParetoError(
            f"Parameter `model` should be split into encoders and what fuses their features: "
            f"{method.name} asks what some modalities alone predict. Found "
            f"{type(model).__name__}, whose encoders exchange something before they end. Choose a "
            "late-fusion model, or another method."
        )
    if "confidence" in method.relies_on and type(target).confidence is Target.confidence:
        raise MMParetoError(
            f"Parameter `method` should be one for numbers. Found {method.name}, which asks how "
            "likely a prediction makes the truth. Choose another method."
        )


def check_strategy(config: RunConfig) -> None:
    """Raises if a method does in a step what sharded parameters or scaled losses do not allow."""
    if config.strategy == "fsdp" and overrides(config.method, *AT_WORK):
        raise MMParetoError(
            f"Parameter `strategy` should be ddp for {config.method.name}, which reads features or "
            "changes gradients: with fsdp no process has whole parameters. Found fsdp."
        )
    if config.precision == "16-mixed" and overrides(config.method, "additions"):
        raise MMParetoError(
            f"Parameter `precision` should be bf16-mixed or 32-true for {config.method.name}, "
            "which adds to gradients: with 16-mixed these are scaled by a factor that it does not "
            "know. Found 16-mixed."
        )


class _Combined:
    """Replaces the joint prediction in evaluation by what a method makes of all predictions."""

    def __init__(self, method: Method) -> None:
        self._method = method

    def __call__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Output
    ) -> Output | None:
        if model.training:
            return None
        rows = kwargs.get("rows", args[1] if len(args) > 1 else None) or {}
        unimodal = {}
        for modality, prediction in output.unimodal.items():
            size = output.joint.shape[0]
            unimodal[modality] = spread_over(prediction, rows.get(modality), size)
        return replace(output, joint=self._method.combine(output.joint, unimodal))
