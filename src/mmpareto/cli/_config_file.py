"""Configuration files of the command line, in which data sets, methods and models go by name."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
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
from mmpareto.training import describe

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
        value = {"class_path": class_path(kind, value)}
    if kind == "optimizer" and isinstance(value, dict):
        if "class_path" not in value:
            value = {"class_path": SGD.name, "init_args": value}
        path = class_path(kind, str(value["class_path"]))
        settings = value.get("init_args") or {}
        if isinstance(settings, dict):
            settings = own_defaults(path) | settings
        return {**value, "class_path": path, "init_args": settings}
    return value


def own_defaults(path: str) -> dict[str, Any]:
    """The defaults of an optimizer's settings, as plain values; see `settings_of_optimizer`."""
    kind = vars(optimizers).get(path.removeprefix(f"{optimizers.__name__}."))
    defaults: dict[str, Any] = {}
    for field in fields(kind) if is_dataclass(kind) else ():
        if field.default is not MISSING:
            defaults[field.name] = describe(field.default)
    return defaults


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
