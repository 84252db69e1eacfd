"""The report of a tuning: a pure function of its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmpareto._storage._files import read_text, write_atomically
from mmpareto._storage._folders import make_inside
from mmpareto.compare._best_of import best_of, budgets, point_scores
from mmpareto.compare._comparison import read_environment, read_failures
from mmpareto.compare._page import render, shareable_failures, where_measured
from mmpareto.compare._results import title_of
from mmpareto.compare._roles import in_order
from mmpareto.compare._trials import read_trials
from mmpareto.compare._tuned import Tuned, describe_settings, read_tuned
from mmpareto.compare._wording import NONE, percent
from mmpareto.partition import JOINT


def write_tuning_report(out: Path) -> Path:
    """Writes ``report.html`` and ``figures/best-of.png`` from a tuning's other files.

    Args:
        out: The folder, with ``points.csv``, ``tuned.yaml``, ``config.yaml``, ``environment.json``
            and ``failures.json``.

    Returns:
        Path of the report.

    Raises:
        MMParetoError: If a file is missing or malformed, or the report cannot be written.
    """
    # Loads matplotlib, which the processes that train have no use for.
    from mmpareto.compare._drawing import png
    from mmpareto.compare._illustrations import Illustration
    from mmpareto.compare._tuning_figure import best_of_figure

    tuned, trials = read_tuned(out), read_trials(out)
    scores = point_scores(trials, tuned.seeds)
    title = title_of(trials[0].metric.removeprefix(f"{JOINT}_")) if trials else ""
    pictures: dict[str, Illustration] = {}
    curves = {method: best_of(list(by_point.values())) for method, by_point in scores.items()}
    if curves:
        bytes_of_figure = png(best_of_figure(curves, title))
        pictures["best-of"] = Illustration(bytes_of_figure, _alt(curves, title))
        make_inside(out, "figures")
        write_atomically(out / "figures" / "best-of.png", bytes_of_figure)
    config = read_text(out / "config.yaml")
    page = render(
        "tuning.html",
        pictures,
        **where_measured(config, read_environment(out)),
        failures=shareable_failures(read_failures(out / "failures.json")),
        tuned=tuned,
        title=title,
        header=_header(tuned),
        rows=_rows(tuned, scores, curves),
    )
    write_atomically(out / "report.html", page)
    return out / "report.html"


def tuning_rows(out: Path) -> list[list[str]]:
    """The table of a tuning as text: a heading, and a row per method."""
    tuned = read_tuned(out)
    scores = point_scores(read_trials(out), tuned.seeds)
    curves = {method: best_of(list(by_point.values())) for method, by_point in scores.items()}
    return [_header(tuned), *_rows(tuned, scores, curves)]


def _header(tuned: Tuned) -> list[str]:
    numbers = [f"best of {number}" for number in budgets(tuned.budget)]
    return ["method", "defaults", *numbers, "point", "settings"]


def _rows(
    tuned: Tuned,
    scores: Mapping[str, Mapping[int, float]],
    curves: Mapping[str, Sequence[float]],
) -> list[list[str]]:
    rows: list[list[str]] = []
    for method in in_order(set(tuned.choices)):
        choice, curve = tuned.choices[method], curves.get(method, [])
        cells = [method, percent(scores.get(method, {}).get(0, float("nan")))]
        shown = [curve[number - 1] for number in budgets(tuned.budget) if number <= len(curve)]
        cells += [percent(score) for score in shown]
        cells += [NONE] * (len(budgets(tuned.budget)) - len(shown))
        cells += [str(choice.point), describe_settings(choice.settings)]
        rows.append(cells)
    return rows


def _alt(curves: Mapping[str, Sequence[float]], title: str) -> str:
    ends = [
        f"{method} {percent(curve[0])} to {percent(curve[-1])}%" for method, curve in curves.items()
    ]
    return f"Expected best validation {title} from one point to all of them: {', '.join(ends)}."
