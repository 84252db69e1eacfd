"""What the commands do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmpareto.balancing import MMPareto
from mmpareto.cli._printing import plain, say, scores_table
from mmpareto.training import RunConfig


def train(settings: Any) -> int:
    """Trains one model."""
    from mmpareto.compare import run_claimed

    config = RunConfig(**_run_settings(settings))
    config.check_data()  # before a folder is made
    metrics = run_claimed(config, settings.out, progress=sys.stderr.isatty())
    if metrics:  # of several processes the first has them
        Console().print(scores_table(config, {"test": metrics["test"]}))
        say(f"Results are in {settings.out}")
    return 0


def compare(settings: Any) -> int:
    """Compares methods."""
    from mmpareto import compare as comparison

    base, methods = _base(settings), _methods(settings.methods)
    console = Console()
    with _grid_progress(console, len(methods) * settings.seeds) as listener:
        failures = comparison.compare(
            base,
            methods,
            settings.seeds,
            settings.out,
            jobs=settings.jobs,
            notes=settings.notes,
            listener=listener,
            tuned=settings.tuned,
        )
    report = comparison.write_report(settings.out)
    comparison.print_table(settings.out)
    say(f"\nReport: {report.resolve().as_uri()}")
    return _say_failures(failures)


def tune(settings: Any) -> int:
    """Chooses the settings of methods."""
    from mmpareto import compare as comparison

    base, methods = _base(settings), _methods(settings.methods)
    console = Console()
    total = len(methods) * settings.budget * settings.seeds
    with _grid_progress(console, total) as listener:
        failures = comparison.tune(
            base,
            methods,
            settings.space,
            settings.out,
            budget=settings.budget,
            seeds=settings.seeds,
            jobs=settings.jobs,
            listener=listener,
        )
    report = comparison.write_tuning_report(settings.out)
    heading, *rows = comparison.tuning_rows(settings.out)
    table = Table(title="Validation scores (%)", title_justify="left", box=None)
    for name in heading:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(table)
    say(f"Report: {report.resolve().as_uri()}")
    say(f"To compare: mmpareto compare --tuned {settings.out}, with the same data and settings")
    return _say_failures(failures)


def _base(settings: Any) -> RunConfig:
    """The training of a grid, but for what its cells say."""
    return RunConfig(method=MMPareto(), **_run_settings(settings))


def _methods(names: str) -> list[str]:
    """Names of methods out of the option."""
    from mmpareto.compare import method_names

    methods = list(map(str.strip, names.split(",")))
    return method_names() if methods == ["all"] else methods


def _say_failures(failures: Sequence[Any]) -> int:
    """Names the cells of a grid that failed; returns the exit code."""
    for failure in failures:
        line = f"Failed: {failure.method}, seed {failure.seed}: {failure.error}"
        Console(stderr=True).print(plain(line), style="bold", soft_wrap=True)
    return 1 if failures else 0


def _run_settings(settings: Any) -> dict[str, Any]:
    """The settings of a training among those of a command."""
    names = [field.name for field in fields(RunConfig) if field.name in settings]
    return {name: settings[name] for name in names}


@contextmanager
def _grid_progress(console: Console, total: int) -> Iterator[Callable[[Any, str], None]]:
    """A line for each training of a grid that ends, above a bar where there is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("trainings", total=total)

        def listener(cell: Any, outcome: str) -> None:
            bar.advance(task)
            done = int(bar.tasks[0].completed)
            line = f"[{done}/{total}] {cell.title}, seed {cell.seed}: {outcome}"
            console.print(plain(line), soft_wrap=True)

        yield listener
