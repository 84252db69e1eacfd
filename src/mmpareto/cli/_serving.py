"""``mmpareto predict`` and ``mmpareto export``: a trained model in use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mmpareto.cli._parser import Parser
from mmpareto.cli._printing import say
from mmpareto.errors import MMParetoError
from mmpareto.training import Accelerator

_RUN = "Folder that `mmpareto train` wrote."


def predict_parser() -> Parser:
    """The options of ``predict``."""
    parser = Parser(
        description="Predicts for new rows of a table. Each gets a line, in the same order; what "
        "in a row is missing or cannot be used is named there. Ends with 1 if a row has no "
        "prediction."
    )
    parser.add_argument("run", type=Path, help=_RUN)
    parser.add_argument(
        "table",
        type=Path,
        nargs="?",
        help="CSV or Parquet file with the columns that the model was trained on; without it, the "
        "training's test part is predicted.",
    )
    parser.add_argument("--out", type=Path, required=True, help="CSV file for the predictions.")
    parser.add_argument(
        "--root",
        type=Path | None,
        help="Folder that holds all files, where relative paths begin; by default the table's.",
    )
    parser.add_argument(
        "--accelerator",
        type=Accelerator,
        default="auto",
        help="Where the model computes; auto is gpu where there is one.",
    )
    return parser


def export_parser() -> Parser:
    """The options of ``export``."""
    parser = Parser(
        description="Writes a trained model as a program of its own, compared with the model "
        "first, and a model card beside it."
    )
    parser.add_argument("run", type=Path, help=_RUN)
    parser.add_argument(
        "--to", type=str, default="onnx", help="onnx, or torch for torch.export.load."
    )
    parser.add_argument("--out", type=Path, required=True, help="The file.")
    return parser


def predict(settings: Any) -> int:
    """Predicts for new rows."""
    from mmpareto.training import load

    _check_out(settings.out, settings.table)
    model = load(settings.run, settings.accelerator)
    if settings.table is None:
        rows = model.predict_test()
    else:
        rows = model.predict(settings.table, settings.root)
    rows.save(settings.out)
    lost = len(rows) - sum(rows.predicted)
    say(f"{len(rows):,} rows, {len(rows) - lost:,} with a prediction, are in {settings.out}")
    absences: Counter[str] = Counter()
    for missing in rows.missing:
        absences.update(missing)
    for name, count in absences.items():
        say(f"{count:,} without {name}")
    problems = len(list(filter(None, rows.problems)))
    if problems:
        say(f"{problems:,} with something that cannot be used: see the column problems")
    return 1 if lost else 0


def export(settings: Any) -> int:
    """Writes a trained model as a program."""
    from mmpareto.training import export as write_program

    _check_out(settings.out)
    write_program(settings.run, settings.to, settings.out)
    say(f"The model is in {settings.out}, and what is to be known of it beside it")
    return 0


def _check_out(out: Path, table: Path | None = None) -> None:
    """Raises, before anything is computed, if a file cannot be written."""
    if not out.parent.is_dir() or out.is_dir():
        found = f"the folder {out}" if out.is_dir() else f"no folder {out.parent}"
        raise MMParetoError(f"Parameter `out` should be a file in a folder. Found {found}.")
    if table is not None and out.resolve() == table.resolve():
        raise MMParetoError(
            f"Parameter `out` should be another file than the table. Found {out} for both."
        )
