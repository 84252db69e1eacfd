"""``mmpareto list``: what can be chosen by name, on a terminal or as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmpareto._catalogue import catalogue
from mmpareto._storage._names import printable
from mmpareto.balancing import Facts
from mmpareto.cli._config_file import CATALOGUES

KINDS = {"data": "data", "methods": "method", "models": "model", "optimizers": "optimizer"}
"""What can be listed, and the option that chooses it."""


def list_command(settings: Any) -> int:
    """Lists one kind of thing at length, or all of them in short."""
    console = Console()
    if settings.markdown:
        print(markdown(settings.kind or "methods"))  # noqa: T201
        return 0
    for kind in [settings.kind] if settings.kind else KINDS:
        heading, *rows = _short_rows(kind) if settings.kind != "methods" else _lines()
        table = Table(box=None, padding=(0, 2))
        for number, title in enumerate(heading):
            table.add_column(title, no_wrap=number < len(heading) - 1)
        for row in rows:
            table.add_row(*map(Text, map(printable, row)))
        console.print(table, "")
    return 0


def markdown(kind: str) -> str:
    """The list of one kind as a table in Markdown.

    Example:
        >>> print(markdown("models").splitlines()[0])
        | --model | |
    """
    heading, *rows = _rows(kind)
    lines = [heading, ["---"] * len(heading)]
    for name, *cells in rows:
        lines.append([f"`{name}`", *cells])
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def _rows(kind: str) -> list[list[str]]:
    """Heading and rows, at the length that there is to tell."""
    if kind != "methods":
        return _short_rows(kind)
    facts = ["acts on", "needs", "modalities", "passes", "held-out part", "waits", "source"]
    rows = [["--method", *facts]]
    for name, method in _methods():
        said: Facts = method.facts
        flags = [_yes(said.uses_validation), _yes(said.host_sync)]
        given = [said.family, said.needs, said.modalities, _passes(said)]
        rows.append([name, *given, *flags, said.source])
    return rows


def _lines() -> list[list[str]]:
    """Heading and rows of what a terminal has room for."""
    rows = [["--method", "acts on", "modalities", "passes", "needs; source"]]
    for name, method in _methods():
        said: Facts = method.facts
        more = " and a held-out part" if said.uses_validation else ""
        waits = "; waits for the device" if said.host_sync else ""
        needs = f"{said.needs}{more}; {said.source}{waits}"
        rows.append([name, said.family, said.modalities, _passes(said), needs])
    return rows


def _methods() -> Iterable[tuple[str, Any]]:
    return catalogue(*CATALOGUES["method"]).items()


def _short_rows(kind: str) -> list[list[str]]:
    """Heading and rows of names and the first lines of their documentation."""
    option = KINDS[kind]
    rows = [[f"--{option}", ""]]
    for name, entry in catalogue(*CATALOGUES[option]).items():
        rows.append([name, (entry.__doc__ or "").splitlines()[0]])
    return rows


def _passes(facts: Facts) -> str:
    return f"{facts.forwards:g}F {facts.backwards:g}B"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
