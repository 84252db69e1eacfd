"""``mmpareto data``: names, describes, decodes and checks data sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from mmpareto import data
from mmpareto._catalogue import catalogue
from mmpareto._storage._names import printable
from mmpareto.data import DatasetRecipe
from mmpareto.errors import MMParetoError


def data_command(settings: Any) -> int:
    """Runs one of the commands that begin with ``mmpareto data``."""
    return _ACTIONS[settings.action](settings[settings.action])


def _list(settings: Any) -> int:
    known = catalogue(data, DatasetRecipe)
    width = max(map(len, known))
    for name, recipe in known.items():
        _say(f"{name:{width}}  {(recipe.__doc__ or '').splitlines()[0]}")
    return 0


def _info(settings: Any) -> int:
    from docstring_parser import parse  # comes with jsonargparse[signatures]

    recipe = settings.data
    documented = parse(type(recipe).__doc__ or "")
    _say(f"{recipe.name}: {documented.short_description}", soft_wrap=False)
    for text in (
        documented.long_description,
        *recipe.notes,
        f"Source: {recipe.citation}",
        f"Files: {recipe.layout}",
    ):
        if text:
            _say(f"\n{' '.join(text.split())}", soft_wrap=False)
    _say()
    try:
        _table(["modality", "shape"], ((name, str(shape)) for name, shape in recipe.shapes.items()))
    except MMParetoError as error:
        _say(f"What a sample looks like depends on the files. {error}")
    _say()
    meaning: dict[str, str] = {}
    for kind in reversed(type(recipe).__mro__):  # a base class documents the settings that it has
        for entry in parse(kind.__doc__ or "").params:
            meaning[entry.arg_name] = " ".join((entry.description or "").split())
    settable = [field for field in fields(recipe) if field.init]
    _table(
        ["setting", "default", ""],
        ((f"--data.{s.name}", _default(s), meaning.get(s.name, "")) for s in settable),
    )
    return 0


def _default(field: Any) -> str:
    if field.default_factory is not MISSING:
        return str(field.default_factory())
    return "" if field.default in (MISSING, None) else str(field.default)


def _prepare(settings: Any) -> int:
    _decode(settings.data, settings.workers)
    _say(f"{settings.data.name} is ready.")
    return 0


def _decode(recipe: DatasetRecipe, workers: int) -> None:
    """Decodes what has not been decoded yet, and shows how far that is."""
    if workers < 0:
        raise MMParetoError(f"Parameter `workers` should not be negative. Found {workers}.")
    with _progress(Console()) as progress:
        recipe.prepare(workers, progress)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each thing that is done; without a terminal, a line at each tenth of it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    tenths: dict[str, int] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def listener(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            tenth = 10 * done // max(total, 1)
            if not console.is_terminal and tenth > tenths.get(what, -1):
                tenths[what] = tenth
                _say(f"{what}: {done:,} of {total:,}")

        yield listener


def _check(settings: Any) -> int:
    workers = settings.get("workers", 0)
    try:
        _decode(settings.data, workers)
    except MMParetoError:
        if workers < 0:
            raise
    findings = settings.data.check()  # which says what stands in the way of decoding
    _table(["", ""], findings.facts)
    for fatal, title in (
        (True, "Has to be mended before training:"),
        (False, "Left out, or to be known:"),
    ):
        found = [problem for problem in findings.problems if problem.fatal is fatal]
        if found:
            _say(f"\n{title}")
        for problem in found:
            _say(f"{problem.where}: {' '.join(problem.reason.split())}")
    if not findings.trainable:
        print(f"mmpareto: {settings.data.name} cannot be trained on", file=sys.stderr)  # noqa: T201
        return 2
    _say("\nThe data can be trained on.")
    return 0


_ACTIONS = {"list": _list, "info": _info, "prepare": _prepare, "check": _check}


def _say(text: str = "", *, soft_wrap: bool = True) -> None:
    Console().print(printable(text), markup=False, highlight=False, soft_wrap=soft_wrap)


def _table(headings: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Columns of text; the last one wraps, the others stay whole."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=any(headings))
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1])
    for row in rows:
        table.add_row(*map(Text, map(printable, row)))
    Console().print(table)
