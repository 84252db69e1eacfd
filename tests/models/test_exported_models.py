"""Every model becomes a program of torch.export that takes batches of any size."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
import torch

from mmpareto import models
from mmpareto._catalogue import catalogue
from mmpareto.models import LateFusionCNN, ModelRecipe, Output
from mmpareto.specs import Shape, Text
from mmpareto.training._export import examples

IMAGES: dict[str, Shape] = {"gray": (1, 8, 8), "colour": (3, 8, 8)}
MIXED: dict[str, Shape] = {"clip": (3, 2, 8, 8), "table": (5,), "note": Text(6, 50)}
CASES = [(kind(), IMAGES) for kind in catalogue(models, ModelRecipe).values()]


@pytest.mark.parametrize(("recipe", "shapes"), [*CASES, (LateFusionCNN(), MIXED)])
def test_the_program_computes_what_the_model_does(
    recipe: ModelRecipe, shapes: Mapping[str, Shape]
) -> None:
    torch.manual_seed(0)
    model = recipe.build(shapes, 4).eval()
    any_size = {name: {0: torch.export.Dim("batch")} for name in shapes}
    with torch.no_grad():
        exported = torch.export.export(model, (examples(shapes, 2),), dynamic_shapes=(any_size,))
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    program = torch.export.load(buffer).module()
    for size in (1, 2, 7):
        inputs = examples(shapes, size)
        with torch.no_grad():
            expected, computed = model(inputs), program(inputs)
        assert isinstance(computed, Output)
        assert computed.logits.keys() == expected.logits.keys() == {"joint", *shapes}
        torch.testing.assert_close(dict(computed.logits), dict(expected.logits))
        torch.testing.assert_close(computed.features, expected.features)
