"""The file of a training's configuration: plain values and the names of known classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from mmpareto._storage._files import write_atomically
from mmpareto.errors import MMParetoError
from mmpareto.optimizers import SGD
from mmpareto.training._config import LATER, NOT_IN_RESULT, RunConfig
from mmpareto.training._known_classes import CATALOGUES, class_path
from mmpareto.training._schema import ARGUMENTS, CLASS, restore_fields


def describe(value: Any, *, paths: bool = True) -> Any:
    """`value` in plain values: a dataclass as its fields, a recipe with its class path.

    Args:
        value: A configuration, or a part of one.
        paths: Whether to keep the settings that say where files are.

    Raises:
        MMParetoError: If a setting is no plain value, such as a module or a function.

    Example:
        >>> from mmpareto.balancing import ScaledUniform
        >>> describe(ScaledUniform(2.0))
        {'class_path': 'mmpareto.balancing.ScaledUniform', 'init_args': {'gamma': 2.0}}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return _describe_dataclass(value, paths)
    if isinstance(value, list | tuple):
        return [describe(item, paths=paths) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item, paths=paths) for key, item in value.items()}
    for kind in (bool, int, float, str):  # numpy's numbers and the like are made plain
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, Path):
        return None if value is None else str(value)
    raise MMParetoError(
        "A training that is stored should have plain values as its settings. Found "
        f"{type(value).__name__} as one of them. Use `mmpareto.backward` in a loop of your own for "
        "what is given in Python only."
    )


def _describe_dataclass(value: Any, paths: bool) -> dict[str, Any]:
    annotations = get_type_hints(type(value))
    settings: dict[str, Any] = {}
    for field in fields(value):
        kinds = _kinds(annotations[field.name])
        if paths or Path not in kinds:
            setting = describe(getattr(value, field.name), paths=paths)
            is_float = float in kinds and int not in kinds
            settings[field.name] = _in_floats(setting) if is_float else setting
    # SGD was the only optimizer at first: its settings alone stand for it.
    if not isinstance(value, tuple(CATALOGUES)) or type(value) is SGD:
        return settings
    described: dict[str, Any] = {CLASS: class_path(type(value))}
    if settings:
        described[ARGUMENTS] = settings
    return described


def _kinds(annotation: Any) -> set[Any]:
    """The types that a type is made of."""
    kinds = {annotation}
    for part in get_args(annotation):
        kinds |= _kinds(part)
    return kinds


def _in_floats(value: Any) -> Any:
    """Plain values in which whole numbers are floats too, as they are when a file is read."""
    if isinstance(value, dict):
        return {key: _in_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_in_floats, value))
    return float(value) if type(value) is int else value


def unchanged(config: RunConfig) -> list[str]:
    """The settings in `LATER` that are at their defaults, as in trainings that lack them."""
    return [name for name in LATER if getattr(config, name) == getattr(RunConfig, name)]


def identity(config: RunConfig) -> str:
    """What tells a training apart from others, wherever its files are: SHA-256 of its settings."""
    settings = describe(config, paths=False)
    for name in (*NOT_IN_RESULT, *unchanged(config)):
        del settings[name]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def save_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration that `mmpareto train --config` takes."""
    import yaml

    write_atomically(path, yaml.safe_dump(describe(config), sort_keys=False))


def load_config(path: Path) -> RunConfig:
    """Reads what `save_config` wrote. It is data: nothing that it names is imported.

    A class that is not of this library is found where the program has imported it before.

    Raises:
        MMParetoError: If there is no such file, or it is no configuration.
    """
    from mmpareto._storage._yaml import read_yaml

    if not path.is_file():
        raise MMParetoError(
            f"Parameter `run` should be a folder that `mmpareto train` wrote. Found no file {path}."
        )
    config: RunConfig = restore_fields(RunConfig, read_yaml(path), str(path))
    return config
