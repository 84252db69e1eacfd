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
from rich.text import Text

from mmpareto._storage._names import printable
from mmpareto.balancing import MMPareto
from mmpareto.training import RunConfig


def train(settings: Any) -> int:
    """Trains one model."""
    from mmpareto.compare import run_claimed

    config = RunConfig(**_run_settings(settings))
    config.check_data()  # before a folder is made
    metrics = run_claimed(config, settings.out, progress=sys.stderr.isatty())
    if metrics:  # of several processes the first has them
        Console().print(_scores(config, {"test": metrics["test"]}))
        _say(f"Results are in {settings.out}")
    return 0


def evaluate(settings: Any) -> int:
    """Computes stored test numbers again."""
    from mmpareto import training

    config, model = training.load_run(settings.run)
    stored = (training.stored_metrics(settings.run) or {}).get("test", {})
    predictions = training.predict(model, config.data.load().test, config)
    computed = predictions.scores(config.data.target)
    Console().print(_scores(config, {"stored": stored, "computed": computed}))
    if json.dumps(stored) == json.dumps(computed):  # of which NaN equals NaN
        _say("The checkpoint gives the stored numbers.")
        return 0
    Console(stderr=True).print("The checkpoint does not give the stored numbers.", style="bold")
    return 1


def compare(settings: Any) -> int:
    """Compares methods."""
    from mmpareto import compare as comparison

    base = RunConfig(method=MMPareto(), **_run_settings(settings))
    methods = list(map(str.strip, settings.methods.split(",")))
    if methods == ["all"]:
        methods = comparison.method_names()
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
    _say(f"\nReport: {report.resolve().as_uri()}")
    for failure in failures:
        line = f"Failed: {failure.method}, seed {failure.seed}: {failure.error}"
        Console(stderr=True).print(_text(line), style="bold", soft_wrap=True)
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
            line = f"[{done}/{total}] {cell.method}, seed {cell.seed}: {outcome}"
            console.print(_text(line), soft_wrap=True)

        yield listener


def _scores(config: RunConfig, columns: dict[str, dict[str, float]]) -> Table:
    """A table of scores in percent, a row per metric."""
    target = config.data.target
    table = Table(f"{target.title} (%)", title=config.method.name, title_justify="left")
    for heading in columns:
        table.add_column(heading, justify="right")
    for metric in next(iter(columns.values())):
        cells = [_percent(scores.get(metric)) for scores in columns.values()]
        table.add_row(_text(metric.removesuffix(f"_{target.metric}")), *cells)
    return table


def _say(line: str) -> None:
    Console().print(_text(line), soft_wrap=True)


def _text(text: str) -> Text:
    """Text in which brackets are no markup and control characters are written out."""
    return Text(printable(text))


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"
