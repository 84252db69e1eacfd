"""The cells of a label column: which kind of target they are, and their labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pyarrow
import torch
from torch import Tensor

from mmpareto.data.tables._cells import counted
from mmpareto.data.tables._columns import ColumnType, is_majority
from mmpareto.data.tables._guess import is_categorical, parse_number
from mmpareto.data.tables._numbers import plain_numbers, written_numbers
from mmpareto.data.tables._tabular import mean_and_std
from mmpareto.specs import Classes, Labels, Number, Target

Label = tuple[str, ...] | float
"""The names of a sample's class or labels, or its number."""

_SEPARATORS = r"[;|]"
_LOOKED_AT = 200
_MANY_NUMBERS = 20
"""Whole numbers of which there are more are rarely names of classes."""


def guess_task(column: pyarrow.StringArray, separator: str | None = None) -> ColumnType:
    """Which kind of target a column is.

    Args:
        column: The labels; those that are missing do not count.
        separator: What divides several labels; None for ``;`` or ``|``.

    Returns:
        ``labels`` where cells hold several, of which some recur beside others; ``number`` where
        most cells are numbers that are not whole, or are whole and hardly repeat; else ``class``.

    Example:
        >>> guess_task(pyarrow.array(["rain;wind", "rain"]))
        ColumnType(kind='labels', why='cells hold several, divided by ; or |')
        >>> guess_task(pyarrow.array(["1", "2", "1", "2"])).kind
        'class'
        >>> guess_task(pyarrow.array(["1,5", "2", "1"])).kind
        'number'
    """
    counts, filled = counted(column), len(column) - column.null_count
    recurring, _ = _recurrence(counts, separator)
    if recurring:
        shown = "; or |" if separator is None else separator.strip() or "spaces"
        return ColumnType("labels", f"cells hold several, divided by {shown}")
    numbers = label_numbers(column)
    numbers = numbers[~np.isnan(numbers)]
    if is_majority(len(numbers), filled):
        if (numbers % 1).any():
            why = f"{len(numbers)} of {filled} cells are numbers, not all of them whole"
            return ColumnType("number", why)
        if not is_categorical(len(counts), filled):
            return ColumnType(
                "number", f"{len(counts)} whole numbers in {filled} cells hardly repeat"
            )
    return ColumnType("class", f"{len(counts)} values in {filled} cells")


def label_numbers(column: pyarrow.StringArray) -> np.ndarray:
    """The numbers in a column, as people write them if most are written so; float64 [N]."""
    plain = plain_numbers(column)
    filled = len(column) - column.null_count
    if is_majority(int((~np.isnan(plain)).sum()), filled):
        return plain
    for part in (column.drop_null()[:_LOOKED_AT], column):
        written = written_numbers(part)
        if not is_majority(int((~np.isnan(written)).sum()), len(part) - part.null_count):
            return plain
    return written


def _recurrence(cells: Iterable[str], separator: str | None) -> tuple[bool, bool]:
    """Whether a part of a divided cell is in another cell too, and whether all such parts are."""
    divided: set[str] = set()
    counts: Counter[str] = Counter()
    for cell in cells:
        parts = set(divide(cell, separator))
        counts.update(parts)
        if len(parts) > 1:
            divided |= parts
    recurring = [name for name in divided if counts[name] > 1]
    return bool(recurring), 0 < len(divided) == len(recurring)


def doubts_about(column: pyarrow.StringArray, task: str) -> list[str]:
    """What speaks against a task that was guessed, and the setting that decides.

    Args:
        column: The labels.
        task: The guess.

    Example:
        >>> doubts_about(pyarrow.array(["1", "2"]), "class")
        []
        >>> len(doubts_about(pyarrow.array(["Toys|Games", "Books"]), "class"))
        1
    """
    decide = f"state --data.task {task} if that is right"
    counts, plain = counted(column), plain_numbers(column)
    is_number = ~np.isnan(plain)
    if task == "number" and is_number.sum() < len(column) - column.null_count:
        written = label_numbers(column)
        for place in np.flatnonzero(~is_number & ~np.isnan(written))[:1].tolist():
            return [f"labels such as '{column[place]}' are read as {written[place]:g}; {decide}"]
    if task != "class":
        return []
    is_whole = is_majority(int(is_number.sum()), len(column) - column.null_count)
    if is_whole and len(counts) > _MANY_NUMBERS:
        return [
            f"{len(counts)} whole numbers are read as names of classes; state --data.task number "
            f"to predict how much it is, or {decide}"
        ]
    if re.search(_SEPARATORS, "".join(counts)):
        return [
            "labels hold ; or |, but no part of them recurs, so each is read as the name of one "
            f"class; state --data.task labels to divide them, or {decide}"
        ]
    if _recurrence(counts, ",")[1]:
        return [
            f"labels such as '{max(counts, key=len)}' look like several, divided by commas; state "
            f"--data.task labels and --data.separator ',' to divide them, or {decide}"
        ]
    return []


def parse_label(cell: str, task: str, separator: str | None = None) -> Label | None:
    """The label in a cell that is not empty; None where there is none of this kind.

    Example:
        >>> parse_label("wind | rain", "labels"), parse_label("wind | rain", "class")
        (('rain', 'wind'), ('wind | rain',))
        >>> parse_label("['wind', 'rain']", "labels", ","), parse_label("old", "number")
        (('rain', 'wind'), None)
    """
    if task == "number":
        return parse_number(cell)
    return (cell,) if task == "class" else tuple(sorted(set(divide(cell, separator)))) or None


def divide(cell: str, separator: str | None) -> list[str]:
    """The labels in a cell, which may be a list as Python prints it."""
    is_printed = cell.startswith("[") and cell.endswith("]")
    pattern = _SEPARATORS if separator is None else re.escape(separator.strip() or separator)
    around = " '\"" if is_printed else None
    parts = re.split(pattern, cell[1:-1] if is_printed else cell)
    return list(filter(None, (part.strip(around) for part in parts)))


def names(label: Label) -> tuple[str, ...]:
    """The classes of a label; a number has none."""
    return label if isinstance(label, tuple) else ()


def make_target(task: str, column: str, labels: Collection[Label]) -> Target:
    """What is predicted.

    Args:
        task: ``class``, ``labels`` or ``number``.
        column: Name of the label column.
        labels: Labels of the training part.
    """
    if task == "number":
        numbers = [label for label in labels if isinstance(label, float)]
        return Number(column, *mean_and_std(np.array(numbers)))
    known: set[str] = set()
    for label in set(labels):
        known.update(names(label))
    if all(re.fullmatch(r"-?\d{1,18}", name) for name in known):
        return _named(task, sorted(known, key=lambda name: (int(name), name)))
    return _named(task, sorted(known))


def _named(task: str, known: Sequence[str]) -> Target:
    return Classes(tuple(known)) if task == "class" else Labels(tuple(known))


def label_tensor(labels: Sequence[Label], target: Target) -> Tensor:
    """The labels in the form that `target` says; numbers in double precision, as written."""
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
