"""Tables as Markdown and CSV, and where they were measured."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmpareto._storage._files import write_atomically
from mmpareto._storage._folders import make_folder
from mmpareto.compare._environment import environment

RESULTS = Path(__file__).parent / "results"
Row = Mapping[str, Any]


def heading(title: str, notes: Sequence[str]) -> str:
    """Title, circumstances, and what the numbers are."""
    facts = environment()
    command = shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    lines = [
        f"# {title}",
        "",
        f"- date: {facts['date']}",
        f"- machine: {facts['processor']}, {facts['cores']} cores, {facts['system']}",
        f"- torch {facts['packages']['torch']}, Python {facts['python']}, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at the end",
        f"- command: `{command}`",
        "",
    ]
    return "\n".join([*lines, *notes, ""])


def markdown(rows: Sequence[Row]) -> str:
    """A table; its columns are the keys of the first row, numbers to the right."""
    columns = []
    for heading in rows[0]:
        cells = [str(row[heading]) for row in rows]
        columns.append(_column(heading, cells))
    lines = [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]
    return "\n".join(lines)


def _column(heading: str, cells: Sequence[str]) -> list[str]:
    """Heading, rule and cells of one column, all of one width."""
    width = max(map(len, (heading, *cells)))
    if re.fullmatch(r"[+-]?[\d,.]+%?( to .*)?", cells[0]):
        numbers = [cell.rjust(width) for cell in cells]
        return [heading.rjust(width), "-" * (width - 1) + ":", *numbers]
    texts = [cell.ljust(width) for cell in cells]
    return [heading.ljust(width), "-" * width, *texts]


def write(out: Path, name: str, text: str, rows: Sequence[Row]) -> None:
    """Prints `text`, and writes it as ``name.md`` beside the unrounded `rows` as ``name.csv``."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    make_folder(out)
    write_atomically(out / f"{name}.csv", buffer.getvalue())
    write_atomically(out / f"{name}.md", text)
    print(text)
    print(f"Written to {out / name}.md and .csv")
