"""The options of the commands."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mmpareto import __version__, recipes
from mmpareto.cli._config_file import section
from mmpareto.cli._listing import KINDS
from mmpareto.cli._parser import Parser
from mmpareto.cli._serving import export_parser, predict_parser
from mmpareto.compare import DEFAULT_SPACE, ROLES, SET_BY_GRID
from mmpareto.data import DatasetRecipe
from mmpareto.training import RunConfig, describe


def make_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="mmpareto", description="Train and compare multimodal models.", version=__version__
    )
    commands = parser.add_subcommands(dest="command")
    commands.add_subcommand("train", _train(), help="train one model")
    commands.add_subcommand(
        "evaluate", _evaluate(), help="say in detail what a training's model is worth"
    )
    commands.add_subcommand("predict", predict_parser(), help="predict for new rows of a table")
    commands.add_subcommand(
        "export", export_parser(), help="write a model for ONNX or torch.export"
    )
    commands.add_subcommand(
        "compare", _compare(), help="train methods with several seeds, and report"
    )
    commands.add_subcommand("tune", _tune(), help="choose settings, at equal budgets")
    commands.add_subcommand("list", _list(), help="name methods, data sets, models")
    data = Parser(description="Lists, describes, prepares and checks data sets.")
    commands.add_subcommand("data", data, help="describe, prepare and check data sets")
    _add_actions(data)  # after it was added, as jsonargparse demands
    return parser


def _train() -> Parser:
    parser = Parser(
        description="Trains one model and tests it once, at the epoch with the best validation "
        "accuracy."
    )
    _add_files(parser)
    _add_settings(parser)
    parser.set_defaults(_defaults())
    return parser


def _defaults() -> dict[str, Any]:
    """The settings of the demo."""
    defaults: dict[str, Any] = describe(recipes.cg_digits())
    return defaults | {"optimizer": section("optimizer", defaults["optimizer"])}


def _add_settings(parser: Parser, skip: Collection[str] = ()) -> None:
    """Adds the settings of a training as options."""
    parser.add_class_arguments(RunConfig, skip=set(skip))
    for action in parser._actions:
        if action.dest == "schedule.kind":  # a list of the choices is too wide for a screen
            action.metavar = "KIND"


def _evaluate() -> Parser:
    parser = Parser(
        description="Computes the stored test numbers of a training again, from its checkpoint, "
        "and those of each class; says what guessing scores, and what each modality adds."
    )
    parser.add_argument("run", type=Path, help="Folder that `mmpareto train` wrote.")
    return parser


def _compare() -> Parser:
    parser = Parser(
        description="Trains methods with several seeds and reports what their differences are "
        "worth."
    )
    parser.add_argument("--seeds", type=int, default=5, help="Number of trainings per method.")
    help_tuned = "Folder of `mmpareto tune`, whose choice of settings each method takes."
    parser.add_argument("--tuned", type=Path | None, help=help_tuned)
    parser.add_argument(
        "--notes", type=list[str] | None, help="Caveats for the report; by default the data set's."
    )
    _add_grid(parser)
    return parser


def _tune() -> Parser:
    parser = Parser(
        description="Trains every method at the same points, the defaults among them, and chooses "
        "one for each on the validation part, for `compare --tuned`."
    )
    parser.add_argument("--budget", type=int, default=16, help="Points per method.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of trainings at each point.")
    parser.add_argument(
        "--space",
        type=dict[str, Any],
        default=DEFAULT_SPACE,
        help="Intervals, log or linear; of other settings of a method the interval is its own.",
    )
    _add_grid(parser)
    return parser


def _add_grid(parser: Parser) -> None:
    """Adds what all grids have: files, methods, trainings at a time, and settings of these."""
    _add_files(parser)
    parser.add_argument(
        "--methods",
        type=str,
        default=",".join(ROLES),
        help="Names of methods, separated by commas, or all.",
    )
    parser.add_argument("--jobs", type=int, default=_cores(), help="Trainings at a time.")
    _add_settings(parser, SET_BY_GRID)
    defaults = _defaults()
    for setting in SET_BY_GRID:
        del defaults[setting]
    parser.set_defaults(defaults)


def _list() -> Parser:
    parser = Parser(description="Names what there is, or tells of one kind what there is to know.")
    parser.add_argument(
        "kind", nargs="?", choices=list(KINDS), help="What to list; all of them by default."
    )
    parser.add_argument(
        "--markdown", action="store_true", help="Print a table in Markdown, of methods by default."
    )
    return parser


def _add_actions(parser: Parser) -> None:
    actions = parser.add_subcommands(dest="action")
    actions.add_subcommand(
        "list", Parser(description="Names the data sets."), help="name the data sets"
    )
    actions.add_subcommand(
        "info",
        _about_one("info", "Describes a data set, whose files are not needed."),
        help="describe one",
    )
    prepare = _about_one(
        "prepare", "Decodes the files of a data set. Interrupted, the same command continues."
    )
    prepare.add_argument(
        "--workers", type=int, default=0, help="Processes that decode; 0 decodes in this one."
    )
    actions.add_subcommand("prepare", prepare, help="decode one's files, once for all trainings")
    check = _about_one(
        "check", "Looks for what is wrong with the data. Ends with 2 if they cannot be trained on."
    )
    check.add_argument(
        "--workers", type=int, default=0, help="Processes that decode; 0 decodes in this one."
    )
    actions.add_subcommand(
        "check", check, help="find what is wrong with one, or with a table of your own"
    )


def _about_one(action: str, description: str) -> Parser:
    name = "NAME|FILE" if action == "check" else "NAME"
    parser = Parser(
        description=description,
        usage=f"mmpareto data {action} {name} [--data.SETTING VALUE ...] [options]",
    )
    _add_config(parser)
    parser.add_argument(
        "--data", type=DatasetRecipe, required=True, help=f"The data set; {name} stands for it."
    )
    return parser


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _add_config(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with any of these options. It may name a class of your own if you give "
        "--trust CLASS.PATH, which imports it.",
    )


def _add_files(parser: Parser) -> None:
    _add_config(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="Folder for the results; continued if interrupted."
    )
