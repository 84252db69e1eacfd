"""The cells of a label column: which kind of target they are, and their labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from mmpareto.data.tables._columns import Typed, most, parse_number, repeat
from mmpareto.data.tables._tabular import mean_and_std
from mmpareto.specs import Classes, Labels, Number, Target

Label = tuple[str, ...] | float
"""The names of a sample's class or labels, or its number."""

_SEPARATORS = re.compile(r"[;|]")


def guess_task(cells: Sequence[str]) -> Typed:
    """Which kind of target a column is.

    Args:
        cells: Of the label column; those that are empty do not count.

    Returns:
        ``labels`` where a cell holds several, between ``;`` or ``|``; ``number`` where most cells
        are numbers that are not whole, or are whole and hardly repeat; else ``class``.

    Example:
        >>> guess_task(["rain;wind", "rain"])
        Typed(kind='labels', why='cells hold several, divided by ; or |')
        >>> guess_task(["1", "2", "1", "2"]).kind, guess_task(["1.5", "2", "1"]).kind
        ('class', 'number')
    """
    filled = [cell for cell in cells if cell]
    if any(len(_names(cell)) > 1 for cell in filled):
        return Typed("labels", "cells hold several, divided by ; or |")
    numbers = [value for cell in filled if (value := parse_number(cell)) is not None]
    if numbers and most(len(numbers), filled):
        if not all(value.is_integer() for value in numbers):
            return Typed(
                "number",
                f"{len(numbers)} of {len(filled)} cells are numbers, not all of them whole",
            )
        if not repeat(filled):
            return Typed(
                "number", f"{len(set(filled))} whole numbers in {len(filled)} cells hardly repeat"
            )
    return Typed("class", f"{len(set(filled))} values in {len(filled)} cells")


def parse_label(cell: str, task: str) -> Label | None:
    """The label in a cell that is not empty; None where there is none of this kind.

    Example:
        >>> parse_label("wind | rain", "labels"), parse_label("wind | rain", "class"), parse_label("old", "number")
        (('rain', 'wind'), ('wind | rain',), None)
    """
    if task == "number":
        return parse_number(cell)
    return (cell,) if task == "class" else tuple(sorted(set(_names(cell)))) or None


def _names(cell: str) -> list[str]:
    return [name.strip() for name in _SEPARATORS.split(cell) if name.strip()]


def names(label: Label) -> tuple[str, ...]:
    """The classes of a label; a number has none."""
    return label if isinstance(label, tuple) else ()


def make_target(task: str, column: str, labels: Sequence[Label]) -> Target:
    """What is predicted.

    Args:
        task: ``class``, ``labels`` or ``number``.
        column: Name of the label column.
        labels: Of the training part.
    """
    if task == "number":
        numbers = [label for label in labels if isinstance(label, float)]
        return Number(column, *mean_and_std(numbers))
    known = {name for label in labels for name in names(label)}
    whole = all(re.fullmatch(r"-?\d{1,18}", name) for name in known)
    ordered = tuple(sorted(known, key=lambda name: (int(name), name) if whole else (0, name)))
    return Classes(ordered) if task == "class" else Labels(ordered)


def label_tensor(labels: Sequence[Label], target: Target) -> Tensor:
    """The labels as a tensor, in the form that `target` says; numbers in double precision, as they were written."""
    if isinstance(target, Number):
        return torch.tensor(labels, dtype=torch.float64)
    assert isinstance(target, Classes | Labels)
    place = {name: index for index, name in enumerate(target.names)}
    if isinstance(target, Classes):
        return torch.tensor([place[names(label)[0]] for label in labels], dtype=torch.int64)
    hot = torch.zeros(len(labels), len(target.names))
    for row, label in enumerate(labels):
        hot[row, [place[name] for name in names(label)]] = 1
    return hot
