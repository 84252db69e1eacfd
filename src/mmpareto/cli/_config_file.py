"""Configuration files of the command line, in which data sets, methods and models go by name."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import jsonargparse
import yaml

from mmpareto import balancing, data, models, optimizers
from mmpareto._catalogue import find
from mmpareto._storage._yaml import load_yaml
from mmpareto.balancing import Method
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError
from mmpareto.models import ModelRecipe
from mmpareto.optimizers import SGD, Optimizer

CATALOGUES: dict[str, tuple[ModuleType, type]] = {
    "data": (data, DatasetRecipe),
    "method": (balancing, Method),
    "model": (models, ModelRecipe),
    "optimizer": (optimizers, Optimizer),
}
"""What is chosen by name: option, package, base class."""


def class_path(kind: str, value: str) -> str:
    """The class path of a name; a class path, or settings in braces, stay as they are."""
    if "." in value or value.startswith("{"):
        if Path(value).is_file():  # which jsonargparse would read
            raise MMParetoError(
                f"Parameter `{kind}` should be a name or a class path. Found the file {value}. "
                "Settings in a file go by --config."
            )
        return value
    package, base = CATALOGUES[kind]
    return f"{package.__name__}.{find(kind, package, base, value).__name__}"


def section(kind: str, value: Any) -> Any:
    """What a file says of a choice, as class and arguments; settings of an optimizer are SGD's."""
    if isinstance(value, str):
        return {"class_path": class_path(kind, value)}
    if kind == "optimizer" and isinstance(value, dict) and "class_path" not in value:
        return {"class_path": class_path(kind, SGD.name), "init_args": value}
    return value


def _load(text: str) -> Any:
    content = load_yaml(text)
    if isinstance(content, dict):
        for kind in CATALOGUES.keys() & content.keys():
            content[kind] = section(kind, content[kind])
    return content


def _dump(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False)


jsonargparse.set_loader("named", _load, (yaml.YAMLError,))
jsonargparse.set_dumper("named", _dump)
