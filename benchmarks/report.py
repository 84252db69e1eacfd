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

from mmpareto._files import make_folder, write_atomically
from mmpareto.compare._environment import environment

RESULTS = Path(__file__).parent / "results"
Row = Mapping[str, Any]


def heading(title: str, notes: Sequence[str]) -> str:
    """Title, circumstances, and what the numbers are."""
    e = environment()
    command = shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    lines = [
        f"# {title}",
        "",
        f"- date: {e['date']}",
        f"- machine: {e['processor']}, {e['cores']} cores, {e['system']}",
        f"- torch {e['packages']['torch']}, Python {e['python']}, {torch.get_num_threads()} "
        f"threads, load {os.getloadavg()[0]:.1f} at the end",
        f"- command: `{command}`",
        "",
    ]
    return "\n".join([*lines, *notes, ""])


def markdown(rows: Sequence[Row]) -> str:
    """A table; its columns are the keys of the first row, numbers to the right."""
    columns = list(rows[0])
    cells = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    left = [not re.fullmatch(r"[+-]?[\d,.]+%?( to .*)?", cell) for cell in cells[1]]
    rule = [
        "-" * width if start else "-" * (width - 1) + ":"
        for width, start in zip(widths, left, strict=True)
    ]
    aligned = [
        [
            cell.ljust(width) if start else cell.rjust(width)
            for cell, width, start in zip(line, widths, left, strict=True)
        ]
        for line in cells
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [aligned[0], rule, *aligned[1:]])


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
