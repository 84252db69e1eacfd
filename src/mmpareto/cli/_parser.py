"""A jsonargparse parser in which data sets, methods and models go by their names."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse

from mmpareto._catalogue import catalogue
from mmpareto._storage._names import printable
from mmpareto.cli._config_check import check_config_file, trust
from mmpareto.cli._config_file import CATALOGUES, class_path
from mmpareto.cli._optimizers import name_torch_optimizer, settings_of_optimizer
from mmpareto.errors import MMParetoError

_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_ARCHIVE = ".npz"
_FLAGS = ("-h", "--help", "--print_config")
_NOUNS = {"out": "--out", "run": "the folder of a training", "data": "the name of a data set"}
"""Required options, as messages name them."""


def fail(message: str) -> NoReturn:
    """Ends the program as after a wrong command: one line, exit code 2."""
    say(f"error: {message}")
    raise SystemExit(2)


def say(message: str) -> None:
    """Prints one line on standard error, without what would steer the terminal."""
    print(f"mmpareto: {printable(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201


class _Formatter(jsonargparse.DefaultHelpFormatter):
    """Shows names and defaults where jsonargparse would show class paths and Python types."""

    def _get_help_string(self, action: argparse.Action) -> str:
        kind = action.dest.removesuffix(".help")
        if kind in CATALOGUES and kind != action.dest:
            return f"Show the settings of the {kind} of this name."
        if kind in CATALOGUES and action.option_strings:
            return self._describe_choice(action, kind)
        if action.required and action.help:
            return f"{action.help} (required)"
        shown = action.option_strings and action.default not in (None, argparse.SUPPRESS)
        return f"{action.help} (default: %(default)s)" if shown else action.help or ""

    def _describe_choice(self, action: argparse.Action, kind: str) -> str:
        names = catalogue(*CATALOGUES[kind])
        default = "(required)"
        for name, entry in names.items():
            if f".{entry.__name__}'" in str(action.default):
                default = f"(default: {name})"
        return (
            f"{action.help} One of {', '.join(names)}, or the path of your own class; "
            f"--{kind}.help NAME shows its settings. {default}"
        )


class Parser(jsonargparse.ArgumentParser):
    """Reports what is wrong in one line, and takes names from the catalogues in files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Formatter, "parser_mode": "named", **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the program with exit code 2."""
        if type(ex) is KeyError:  # jsonargparse's own, on its way to a message on such a setting
            message = (
                "the file of --config should hold settings of this command. Found others. Its "
                "--help lists them."
            )
        fail(re.sub(r"required: (?:\w+\.)+(\w+)", _name_required, message))


def _name_required(match: re.Match[str]) -> str:
    return f"required: {_NOUNS.get(match[1], match[1])}"


def expand(arguments: Sequence[str]) -> list[str]:
    """Replaces names by class paths.

    They and files come first: jsonargparse reads from left to right, and settings refer to names.

    Args:
        arguments: A subcommand and its options.

    Returns:
        The arguments in jsonargparse's terms.

    Raises:
        MMParetoError: If a name is unknown; the message lists those known. If a file holds more
            than plain settings.

    Example:
        >>> expand(["train", "--data.root", "mnist.npz", "--data", "cg-mnist"])
        ['train', '--data=mmpareto.data.CGMNIST', '--data.root', 'mnist.npz']
        >>> expand(["train", "--data", "my.csv"])
        ['train', '--data=mmpareto.data.Manifest', '--data.path', 'my.csv']
        >>> expand(["train", "--data", "my.npz"])
        ['train', '--data=mmpareto.data.Arrays', '--data.path', 'my.npz']
    """
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    reader.add_argument("--config", action="append", default=[])
    reader.add_argument("--trust", action="append", default=[])
    reader.add_argument("--modalities")
    reader.add_argument("--out")
    for kind in CATALOGUES:
        reader.add_argument(f"--{kind}")
        reader.add_argument(f"--{kind}.help")
    try:
        given, others = reader.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise MMParetoError(str(error)) from error
    _name_table(given, others)
    name_torch_optimizer(given, others)
    first = [f"--config={file}" for file in given.config]  # what stands beside a file prevails
    for path in given.trust:
        trust(path)
    for file in filter(os.path.isfile, given.config):
        check_config_file(Path(file))
    if given.out is not None:
        if not given.out:
            raise MMParetoError(
                "Parameter `out` should be a folder to write to. Found an empty name. Write `.` "
                "for this folder."
            )
        first.append(f"--out={given.out}")
    if given.modalities is not None:
        first.append(f"--modalities={json.dumps(given.modalities.split(','))}")
    for option, value in vars(given).items():
        kind = option.removesuffix(".help")
        if kind in CATALOGUES and value is not None:
            first.append(f"--{option}={class_path(kind, value)}")
    first += settings_of_optimizer(given)
    words = 2 if others[:1] == ["data"] else 1  # of the command
    return [*others[:words], *first, *others[words:]]


def _name_table(given: argparse.Namespace, others: list[str]) -> None:
    """A table in place of a data set's name, or a path of one alone, is a manifest.

    An archive of arrays is one's own arrays.
    """
    if given.data is None and not given.config and any(map(_is_path_of_table, others)):
        given.data = "manifest"
    elif given.data is not None and _is_table(given.data):
        others += ["--data.path", given.data]
        given.data = "arrays" if given.data.lower().endswith(_ARCHIVE) else "manifest"


def _is_path_of_table(argument: str) -> bool:
    return argument.partition("=")[0] == "--data.path"


def _is_table(name: str) -> bool:
    """Whether a file is given in place of a data set's name; the manifest says if it is none."""
    return name.lower().endswith((*_TABLES, _ARCHIVE)) or Path(name).is_file()


def expand_name(arguments: Sequence[str]) -> list[str]:
    """Makes an option of the name in ``mmpareto data ACTION NAME``; a table there is a manifest.

    Args:
        arguments: A subcommand and its options.

    Returns:
        The arguments for `expand`.

    Raises:
        MMParetoError: If there is no such table.

    Example:
        >>> expand_name(["data", "check", "--data.root", "mnist", "cg-mnist"])
        ['data', 'check', '--data', 'cg-mnist', '--data.root', 'mnist']
    """
    command, options = list(arguments[:2]), list(arguments[2:])
    position = 0
    while position < len(options) and options[position].startswith("-"):
        alone = "=" in options[position] or options[position] in _FLAGS
        position += 1 if alone else 2  # an option, and its value
    if command[:1] != ["data"] or position >= len(options):
        return list(arguments)
    name = options.pop(position)
    if not _is_table(name):
        return [*command, "--data", name, *options]
    if not Path(name).is_file():
        raise MMParetoError(
            f"A data set should be given by its name or as a file. Found no file {name}."
        )
    kind = "arrays" if name.lower().endswith(_ARCHIVE) else "manifest"
    return [*command, "--data", kind, *options, "--data.path", name]
