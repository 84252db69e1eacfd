"""A jsonargparse parser in which data sets, methods and models go by their names."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import jsonargparse
import yaml

from mmpareto import balancing, data, models
from mmpareto._catalogue import catalogue, find
from mmpareto.balancing import Method
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError
from mmpareto.models import ModelRecipe

CATALOGUES: dict[str, tuple[ModuleType, type]] = {
    "data": (data, DatasetRecipe),
    "method": (balancing, Method),
    "model": (models, ModelRecipe),
}
"""What is chosen by name: option, package, base class."""


_TABLES = (".csv", ".tsv", ".parquet", ".pq")

_SHOWN = {"out": "--out", "run": "the folder of a training", "data": "the name of a data set"}


def fail(message: str) -> NoReturn:
    """Ends the program as after a wrong command: one line, exit code 2."""
    print(f"mmpareto: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)


class _Formatter(jsonargparse.DefaultHelpFormatter):
    """Shows names and defaults where jsonargparse would show class paths and Python types."""

    def _get_help_string(self, action: argparse.Action) -> str:
        kind = action.dest.removesuffix(".help")
        if kind in CATALOGUES and kind != action.dest:
            return f"Show the settings of the {kind} of this name."
        if kind in CATALOGUES and action.option_strings:
            known = catalogue(*CATALOGUES[kind])
            default = [
                name
                for name, entry in known.items()
                if f".{entry.__name__}'" in str(action.default)
            ]
            return (
                f"{action.help} One of {', '.join(known)}, or the path of your own class; "
                f"--{kind}.help NAME shows its settings. "
                f"{f'(default: {default[0]})' if default else '(required)'}"
            )
        if action.required and action.help:
            return f"{action.help} (required)"
        shown = action.option_strings and action.default not in (None, argparse.SUPPRESS)
        return f"{action.help} (default: %(default)s)" if shown else action.help or ""


class Parser(jsonargparse.ArgumentParser):
    """Reports what is wrong in one line, and takes names from the catalogues in configuration files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Formatter, "parser_mode": "named", **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the program with exit code 2."""
        fail(
            re.sub(
                r"required: (?:\w+\.)+(\w+)",
                lambda found: f"required: {_SHOWN.get(found[1], found[1])}",
                message,
            )
        )


def expand(arguments: Sequence[str]) -> list[str]:
    """Replaces names by class paths on the command line, and puts them before the settings that refer to them.

    Args:
        arguments: A subcommand and its options.

    Returns:
        The same in jsonargparse's terms.

    Raises:
        MMParetoError: If a name is unknown; the message lists those known.

    Example:
        >>> expand(["train", "--data.root", "mnist.npz", "--data", "cg-mnist"])
        ['train', '--data=mmpareto.data.CGMNIST', '--data.root', 'mnist.npz']
    """
    files, chosen, others, rest = [], [], [], list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, value = argument.removeprefix("--").partition("=")
        kind = option.removesuffix(".help")
        if (
            not argument.startswith("--")
            or kind not in {*CATALOGUES, "config", "modalities"}
            or not (equals or rest)
        ):
            others.append(argument)
            continue
        value = value if equals else rest.pop(0)
        if kind == "config":
            files.append(f"--config={value}")  # first, so that what stands beside a file prevails
        elif kind == "modalities":
            others.append(f"--modalities={json.dumps(value.split(','))}")
        else:
            chosen.append(f"--{option}={_class_path(kind, value)}")
    words = 2 if others[:1] == ["data"] else 1  # of the command
    return [*others[:words], *files, *chosen, *others[words:]]


def expand_name(arguments: Sequence[str]) -> list[str]:
    """Makes an option of the name in ``mmpareto data ACTION NAME``; a table in its place is a manifest.

    Args:
        arguments: A subcommand and its options.

    Returns:
        The same for `expand`.

    Raises:
        MMParetoError: If there is no such table.

    Example:
        >>> expand_name(["data", "check", "--data.root", "mnist", "cg-mnist"])
        ['data', 'check', '--data', 'cg-mnist', '--data.root', 'mnist']
    """
    command, options = list(arguments[:2]), list(arguments[2:])
    position = 0
    while position < len(options) and options[position].startswith("-"):
        alone = "=" in options[position] or options[position] in ("-h", "--help", "--print_config")
        position += 1 if alone else 2  # an option, and its value
    if command[:1] != ["data"] or position >= len(options):
        return list(arguments)
    name = options.pop(position)
    if not name.lower().endswith(_TABLES):
        return [*command, "--data", name, *options]
    if not Path(name).is_file():
        raise MMParetoError(
            f"A data set should be given by its name or as a file. Found no file {name}."
        )
    return [*command, "--data", "manifest", *options, "--data.path", name]


def _class_path(kind: str, value: str) -> str:
    """The class path of a name; a class path, or settings in braces, stay as they are."""
    if "." in value or value.startswith("{"):
        return value
    package, base = CATALOGUES[kind]
    return f"{package.__name__}.{find(kind, package, base, value).__name__}"


def _load(text: str) -> Any:
    content = yaml.safe_load(text)
    if isinstance(content, dict):
        for kind in CATALOGUES.keys() & content.keys():
            if isinstance(content[kind], str):
                content[kind] = {"class_path": _class_path(kind, content[kind])}
    return content


def _dump(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False)


jsonargparse.set_loader("named", _load, (yaml.YAMLError,))
jsonargparse.set_dumper("named", _dump)
