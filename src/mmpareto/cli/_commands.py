"""What the commands do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmpareto._catalogue import catalogue
from mmpareto.balancing import MMPareto
from mmpareto.cli._parser import CATALOGUES
from mmpareto.training import RunConfig


def train(settings: Any) -> int:
    """Trains one model."""
    from mmpareto.training.run import run

    config = RunConfig(**{field.name: settings[field.name] for field in fields(RunConfig)})
    metrics = run(config, settings.out, progress=sys.stderr.isatty())
    if metrics:  # of several processes the first has them
        console = Console()
        console.print(_scores(config, {"test": metrics["test"]}))
        console.print(f"Results are in {settings.out}", soft_wrap=True)
    return 0


def evaluate(settings: Any) -> int:
    """Computes stored test numbers again."""
    from mmpareto import training

    config, model = training.load_run(settings.run)
    stored = (training.stored_metrics(settings.run) or {}).get("test", {})
    with training.threads(config.threads):
        target = config.data.target
        computed = training.predict(
            model,
            config.data.load().test,
            config.shapes,
            target.outputs,
            workers=config.workers,
        ).scores(target)
    console = Console()
    console.print(_scores(config, {"stored": stored, "computed": computed}))
    if json.dumps(stored) == json.dumps(computed):  # of which NaN equals NaN
        console.print("The checkpoint gives the stored numbers.")
        return 0
    Console(stderr=True).print("The checkpoint does not give the stored numbers.", style="bold")
    return 1


def compare(settings: Any) -> int:
    """Compares methods."""
    from mmpareto import compare as comparison

    shared = {
        field.name: settings[field.name] for field in fields(RunConfig) if field.name in settings
    }
    base = RunConfig(method=MMPareto(), **shared)
    methods = [name.strip() for name in settings.methods.split(",")]
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
        )
    report = comparison.write_report(settings.out)
    comparison.print_table(settings.out)
    console.print(f"\nReport: {report.resolve().as_uri()}", soft_wrap=True)
    for failure in failures:
        failed = f"Failed: {failure.method}, seed {failure.seed}: {failure.error}"
        Console(stderr=True).print(failed, style="bold", markup=False, soft_wrap=True)
    return 1 if failures else 0


def show(settings: Any) -> int:
    """Names what there is."""
    console = Console()
    for kind, (package, base) in CATALOGUES.items():
        table = Table(
            f"--{kind}", "", box=None, padding=(0, 2), title=TITLES[kind], title_justify="left"
        )
        for name, entry in catalogue(package, base).items():
            table.add_row(name, (entry.__doc__ or "").splitlines()[0])
        console.print(table, "")
    return 0


TITLES = {"data": "Data sets", "method": "Methods", "model": "Models"}


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
            console.print(
                f"[{done}/{total}] {cell.method}, seed {cell.seed}: {outcome}",
                markup=False,
                soft_wrap=True,
            )

        yield listener


def _scores(config: RunConfig, columns: dict[str, dict[str, float]]) -> Table:
    """A table of scores in percent, a row per metric."""
    target = config.data.target
    table = Table(f"{target.title} (%)", title=config.method.name, title_justify="left")
    for heading in columns:
        table.add_column(heading, justify="right")
    for metric in next(iter(columns.values())):
        cells = [
            f"{100 * values[metric]:.2f}" if metric in values else "-"
            for values in columns.values()
        ]
        table.add_row(metric.removesuffix(f"_{target.metric}"), *cells)
    return table
