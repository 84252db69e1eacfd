"""The file of a training's configuration."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mmpareto._files import write_atomically
from mmpareto.balancing import Method
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError
from mmpareto.models import ModelRecipe
from mmpareto.training._config import RunConfig


def describe(value: Any) -> Any:
    """`value` in terms of YAML: a frozen dataclass as its fields, a recipe with its class path."""
    if is_dataclass(value) and not isinstance(value, type):
        settings = {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        if not isinstance(value, DatasetRecipe | Method | ModelRecipe):
            return settings
        described: dict[str, Any] = {"class_path": _class_path(type(value))}
        if settings:
            described["init_args"] = settings
        return described
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _class_path(kind: type) -> str:
    """Where a class can be imported from; for one of this library, the package that exports it."""
    module = kind.__module__
    if module.startswith("mmpareto."):
        module = module.partition("._")[0]
    return f"{module}.{kind.__qualname__}"


def save_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration that `mmpareto train --config` takes."""
    import yaml

    write_atomically(path, yaml.safe_dump(describe(config), sort_keys=False))


def load_config(path: Path) -> RunConfig:
    """Reads what `save_config` wrote.

    Raises:
        MMParetoError: If there is no such file, or it is no configuration.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    if not path.is_file():
        raise MMParetoError(
            f"Parameter `run` should be a folder that `mmpareto train` wrote. Found no file {path}."
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RunConfig, "run")
    try:
        import yaml

        parsed = parser.parse_object({"run": yaml.safe_load(path.read_text())})
        config: RunConfig = parser.instantiate(parsed).run
    except (ArgumentError, yaml.YAMLError) as error:
        raise MMParetoError(
            f"{path} should be a training's configuration. Found: {error}"
        ) from error
    return config
