"""What commands print."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmpareto._storage._names import printable
from mmpareto.training import RunConfig


def scores_table(config: RunConfig, columns: Mapping[str, Mapping[str, float]]) -> Table:
    """A table of scores in percent, a row per metric."""
    target = config.data.target
    table = Table(f"{target.title} (%)", title=config.method.name, title_justify="left")
    for heading in columns:
        table.add_column(heading, justify="right")
    for metric in next(iter(columns.values())):
        cells = [percent(scores.get(metric)) for scores in columns.values()]
        table.add_row(plain(metric.removesuffix(f"_{target.metric}")), *cells)
    return table


def say(line: str) -> None:
    """Prints a line."""
    Console().print(plain(line), soft_wrap=True)


def plain(text: str) -> Text:
    """Text in which brackets are no markup and control characters are written out."""
    return Text(printable(text))


def percent(fraction: float | None) -> str:
    """A share in percent; a hyphen where there is none."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.2f}"
