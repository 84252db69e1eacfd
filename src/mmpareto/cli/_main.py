"""The command line's options, and the way from them to a command."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmpareto import __version__, recipes
from mmpareto.cli import _commands
from mmpareto.cli._data import data_command
from mmpareto.cli._parser import Parser, expand, expand_name, fail
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError
from mmpareto.training import SET_BY_GRID, RunConfig, describe

_DEFAULT_METHODS = "joint,uniform,scaled-uniform,mgda,mmpareto,ensemble"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Of the command line; None for those of this process.

    Returns:
        Exit code: 0, or 1 if some of what was asked for did not come about.

    Raises:
        SystemExit: With code 2, and one line on standard error, if the command cannot be carried
            out as stated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():  # which puts back what shows them
            warnings.showwarning = _warner()
            parser = _parser()
            parsed = parser.parse_args(expand(expand_name(given)))
            settings = parser.instantiate(parsed)[parsed.command]
            return _COMMANDS[parsed.command](settings)
    except (MMParetoError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        print("mmpareto: interrupted; the same command continues where it stopped", file=sys.stderr)  # noqa: T201
        return 130


def _warner() -> Callable[..., None]:
    """What shows a warning in one line, without the place in the code, and once, from wherever it comes."""
    shown = set()

    def warn(message: Warning | str, *_: Any, **__: Any) -> None:
        if (text := " ".join(str(message).split())) not in shown:
            shown.add(text)
            print(f"mmpareto: warning: {text}", file=sys.stderr)  # noqa: T201

    return warn


def _parser() -> Parser:
    parser = Parser(
        prog="mmpareto", description="Train and compare multimodal models.", version=__version__
    )
    commands = parser.add_subcommands(dest="command")
    commands.add_subcommand("train", _train(), help="train one model")
    commands.add_subcommand("evaluate", _evaluate(), help="compute a training's test numbers again")
    commands.add_subcommand(
        "compare", _compare(), help="train methods with several seeds, and report"
    )
    commands.add_subcommand(
        "list", Parser(description="Names what there is."), help="name methods, data sets, models"
    )
    data = Parser(description="Lists, describes, prepares and checks data sets.")
    commands.add_subcommand("data", data, help="describe, prepare and check data sets")
    _add_actions(data)  # after it was added, as jsonargparse demands
    return parser


_COMMANDS = {
    "train": _commands.train,
    "evaluate": _commands.evaluate,
    "compare": _commands.compare,
    "list": _commands.show,
    "data": data_command,
}


def _train() -> Parser:
    parser = Parser(
        description="Trains one model and tests it once, at the epoch with the best validation accuracy."
    )
    _add_files(parser)
    parser.add_class_arguments(RunConfig)
    parser.set_defaults(describe(recipes.cg_digits()))
    return parser


def _evaluate() -> Parser:
    parser = Parser(
        description="Computes the stored test numbers of a training again, from its checkpoint."
    )
    parser.add_argument("run", type=Path, help="Folder that `mmpareto train` wrote.")
    return parser


def _compare() -> Parser:
    parser = Parser(
        description="Trains methods with several seeds and reports what their differences are worth."
    )
    _add_files(parser)
    parser.add_argument(
        "--methods",
        type=str,
        default=_DEFAULT_METHODS,
        help="Names of methods, separated by commas.",
    )
    parser.add_argument("--seeds", type=int, default=5, help="Number of trainings per method.")
    parser.add_argument("--jobs", type=int, default=_cores(), help="Trainings at a time.")
    parser.add_argument(
        "--notes", type=list[str] | None, help="Caveats for the report; by default the data set's."
    )
    parser.add_class_arguments(RunConfig, skip=set(SET_BY_GRID))
    defaults = describe(recipes.cg_digits())
    parser.set_defaults({key: value for key, value in defaults.items() if key not in SET_BY_GRID})
    return parser


def _add_actions(parser: Parser) -> None:
    actions = parser.add_subcommands(dest="action")
    actions.add_subcommand(
        "list", Parser(description="Names the data sets."), help="name the data sets"
    )
    actions.add_subcommand(
        "info",
        _one("info", "Describes a data set, whose files are not needed."),
        help="describe one",
    )
    prepare = _one(
        "prepare", "Decodes the files of a data set. Interrupted, the same command continues."
    )
    prepare.add_argument(
        "--workers", type=int, default=0, help="Processes that decode; 0 decodes in this one."
    )
    actions.add_subcommand("prepare", prepare, help="decode one's files, once for all trainings")
    check = _one(
        "check", "Looks for what is wrong with the data. Ends with 2 if they cannot be trained on."
    )
    actions.add_subcommand(
        "check", check, help="find what is wrong with one, or with a table of your own"
    )


def _one(action: str, description: str) -> Parser:
    name = "NAME|FILE" if action == "check" else "NAME"
    parser = Parser(
        description=description,
        usage=f"mmpareto data {action} {name} [--data.SETTING VALUE ...] [options]",
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options.")
    parser.add_argument(
        "--data", type=DatasetRecipe, required=True, help=f"The data set; {name} stands for it."
    )
    return parser


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _add_files(parser: Parser) -> None:
    parser.add_argument("--config", action="config", help="YAML file with any of these options.")
    parser.add_argument(
        "--out", type=Path, required=True, help="Folder for the results; continued if interrupted."
    )
