"""The catalogue of models, and inputs and losses to try them on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mmpareto import models
from mmpareto._catalogue import catalogue
from mmpareto.models import ModelRecipe, MultimodalModel, Output

CLASSES = 5
SHAPES = {"gray": (1, 8, 8), "colour": (3, 9, 7)}
RECIPES: dict[str, Any] = catalogue(models, ModelRecipe)

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def build(
    recipe: Any, shapes: Mapping[str, tuple[int, ...]] = SHAPES, seed: int = 0, **settings: Any
) -> Any:
    """A model of this kind in float64, its weights given by the seed."""
    torch.manual_seed(seed)
    model: MultimodalModel = recipe(**settings).build(shapes, CLASSES)
    return model.double()


def images(
    shapes: Mapping[str, tuple[int, ...]] = SHAPES, size: int = 4, seed: int = 0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(size, *shape, generator=generator, dtype=torch.float64)
        for m, shape in shapes.items()
    }


def losses(output: Output) -> dict[str, Tensor]:
    label = torch.arange(len(output.joint)) % CLASSES
    return {name: functional.cross_entropy(logits, label) for name, logits in output.logits.items()}
