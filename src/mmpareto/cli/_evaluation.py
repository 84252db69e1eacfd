"""``mmpareto evaluate``: what a trained model is worth, in detail."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmpareto.cli._printing import percent, plain, say, scores_table
from mmpareto.specs import Classes

_MOST = 20
"""Classes of which a matrix still fits on a page; of more, the most frequent confusions do."""


def evaluate(settings: Any) -> int:
    """Computes stored test numbers again, and those of each class and without each modality."""
    from mmpareto import training

    config, model = training.load_run(settings.run)
    splits, target = config.data.load(), config.data.target
    stored = (training.stored_metrics(settings.run) or {}).get("test", {})
    predictions = training.predict(model, splits.test, config)
    computed = predictions.scores(target)
    Console().print(scores_table(config, {"stored": stored, "computed": computed}))
    guess = training.guess_score(target, splits.train.all_labels(), splits.test.all_labels())
    guessing = _GUESSES.get(type(target).__name__, "any constant")
    say(f"Without any input, {guessing} scores {percent(guess)}.")
    _print_classes(training.class_scores(predictions, target))
    if isinstance(target, Classes):
        _print_confusion(training.confusion(predictions, target), target.names)
    _print_contributions(training.contributions(predictions, model, splits.test, config))
    if json.dumps(stored) == json.dumps(computed):  # of which NaN equals NaN
        say("The checkpoint gives the stored numbers.")
        return 0
    Console(stderr=True).print("The checkpoint does not give the stored numbers.", style="bold")
    return 1


_GUESSES = {
    "Classes": "the training part's most frequent class",
    "Number": "the training part's mean",
}


def _print_classes(scores: Iterable[Any]) -> None:
    table = Table("joint, by class (%)")
    for heading in ("precision", "recall", "F1", "samples"):
        table.add_column(heading, justify="right")
    for score in scores:
        shares = map(percent, (score.precision, score.recall, score.f1))
        table.add_row(plain(score.name), *shares, f"{score.support:,}")
    if table.row_count:
        Console().print(table)


def _print_confusion(counts: Tensor, names: tuple[str, ...]) -> None:
    if len(names) > _MOST:
        _print_confusions(counts, names)
        return
    table = Table("class, and what is predicted")
    for name in names:
        table.add_column(plain(name), justify="right")
    for name, row in zip(names, counts.tolist(), strict=True):
        table.add_row(plain(name), *map(str, row))
    Console().print(table)


def _print_confusions(counts: Tensor, names: tuple[str, ...]) -> None:
    mistakes = counts.clone().fill_diagonal_(0)
    frequent = mistakes.flatten().topk(_MOST)
    for count, place in zip(frequent.values.tolist(), frequent.indices.tolist(), strict=True):
        if count:
            truth, predicted = names[place // len(names)], names[place % len(names)]
            say(f"{count:,} of class {truth} are predicted to be {predicted}")


def _print_contributions(contributions: Iterable[Any]) -> None:
    table = Table("modality (%)")
    for heading in ("joint with it", "joint without it", "it adds", "samples"):
        table.add_column(heading, justify="right")
    for part in contributions:
        cells = map(percent, (part.with_it, part.without_it, part.with_it - part.without_it))
        table.add_row(plain(part.modality), *cells, f"{part.count:,}")
    if table.row_count:
        Console().print(table)
