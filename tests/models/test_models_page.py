"""What docs/models.md says is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from model_cases import RECIPES, SHAPES, every_recipe, images

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


@every_recipe
def test_table_gives_settings_and_reach(recipe: Any) -> None:
    (row,) = re.findall(rf"^\| `{recipe.name}` \|.*\| (.*) \| (yes|no) \|$", PAGE, re.MULTILINE)
    settings, reach = row
    assert settings == ", ".join(f"`{field.name}` ({field.default})" for field in fields(recipe))
    assert reach == ("yes" if recipe.dense else "no")


def test_no_other_models_are_in_the_table() -> None:
    assert sorted(
        re.findall(r"^\| `([\w-]+)` \|.*\| (?:yes|no) \|$", PAGE, re.MULTILINE)
    ) == sorted(RECIPES)


def test_python_blocks_run() -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert names["model"].joint[-1].out_features == 4
    model = names["AveragedLinear"]().build(SHAPES, 5).double()
    assert model({"gray": images()["gray"]}).joint.shape == (4, 5)
