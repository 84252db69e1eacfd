"""The table of a comparison on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich.box
import rich.table
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from mmpareto._storage._names import printable
from mmpareto.compare._comparison import Failure, read_comparison
from mmpareto.compare._results import Result
from mmpareto.compare._table import ComparisonTable, build_table
from mmpareto.compare._wording import MINUS, NONE, settings_sentences

_PLAIN_WIDTH = 100
_ASCII = str.maketrans({"±": "+-", MINUS: "-", NONE: "-"})


def print_table(
    out_or_results: str | Path | Sequence[Result], console: Console | None = None
) -> None:
    """Prints the table of a comparison and what the gain is attributed to.

    A table that is wider than the console continues below, each part with the methods' names.
    Output that is no terminal is 100 columns wide and without colour codes.

    Args:
        out_or_results: A comparison's folder, or its results.
        console: Where to print; standard output by default.

    Raises:
        MMParetoError: If the folder holds a malformed file, or the results are on several data
            sets.
    """
    failures: Sequence[Failure] = ()
    settings: Sequence[str] = ()
    if isinstance(out_or_results, str | Path):
        comparison = read_comparison(Path(out_or_results))
        out_or_results, failures = comparison.results, comparison.failures
        settings = settings_sentences(comparison.tuned)
    if console is None:
        console = Console()
        console = console if console.is_terminal else Console(width=_PLAIN_WIDTH)
    table = build_table(out_or_results, failures)
    console.print(_text(table.headline, console, "bold"), end="\n\n")
    if table.failed:
        console.print(_text(table.failed, console, "bold"), end="\n\n")
    for part in _parts(table, console):
        console.print(part)
        console.print()
    console.print(_text(f"{table.caption} {table.notes}", console, "dim"), end="\n\n")
    for sentence in (*settings, *table.attribution):
        console.print(_text(sentence, console))


def _parts(table: ComparisonTable, console: Console) -> list[rich.table.Table]:
    """The table in as many parts as its columns need to fit the console."""
    groups: list[list[int]] = []
    for column in range(1, len(table.header)):
        if not groups or not _fits(_part(table, [0, *groups[-1], column], console), console):
            groups.append([])
        groups[-1].append(column)
    return [_part(table, [0, *group], console) for group in groups]


def _fits(part: rich.table.Table, console: Console) -> bool:
    unbounded = console.options.update_width(10 * console.width + 1000)
    return Measurement.get(console, unbounded, part).maximum <= console.width


def _part(table: ComparisonTable, columns: Sequence[int], console: Console) -> rich.table.Table:
    """Some columns of the table."""
    part = rich.table.Table(
        box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in columns:
        heading = _text(table.header[column], console, "bold")
        part.add_column(heading, justify="right" if column else "left")
    for row in table.rows:
        part.add_row(*[_text(row[column], console, _style(row[column])) for column in columns])
    return part


def _style(cell: str) -> str:
    return "dim" if "\nnot resolved" in cell else ""


def _text(text: str, console: Console, style: str = "") -> Text:
    """Text in which brackets are no markup, in characters that the console can show."""
    shown = printable(text)
    if not console.encoding.lower().startswith("utf"):
        shown = shown.translate(_ASCII)
    return Text(shown.encode(console.encoding, "replace").decode(console.encoding), style)
