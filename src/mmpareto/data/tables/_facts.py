"""What there is in a table, as pairs of a name and a text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from mmpareto.data._splitting import PARTS
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._decoded import Decoded
from mmpareto.data.tables._labels import names
from mmpareto.specs import Classes, Number, Target

Fact = tuple[str, str]


def spread(values: Sequence[float] | np.ndarray) -> str:
    """What lies between the ends.

    Example:
        >>> spread([3.0, 1.0, 2.5])
        'from 1 to 3, median 2.5'
    """
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"from {low:.4g} to {high:.4g}, median {middle:.4g}"


def column_facts(contents: Contents) -> Iterator[Fact]:
    """How each column is understood, and what makes the parts and the labels."""
    table = contents.table
    used: set[str] = set()
    for modality in contents.modalities.values():
        used.update(modality.columns)
    for name, column in contents.types.items():
        empty = table.columns[name].null_count
        unused = "" if name in used or column.kind == "ignore" else "; in no table"
        yield f"column {name}", f"{column.kind} ({column.why}); {empty:,} empty cells{unused}"
    for name, words in table.markers.items():
        shown = ", ".join(f"'{word}' {count:,} times" for word, count in words.items())
        yield f"column {name}, missing", f"{shown}: read as empty, as data.missing says"
    left_out = table.total - len(contents.parts)
    yield "rows", f"{table.total:,}, {left_out:,} of them left out"
    yield "division", contents.division
    yield "label", f"{contents.task.kind} ({contents.task.why})"


def class_facts(contents: Contents) -> Iterator[Fact]:
    """How often each class is in each part; of numbers, how they are spread."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    numbers: dict[str, list[float]] = defaultdict(list)
    for place, part in contents.parts.items():
        label = contents.labels[place]
        counts[part].update(names(label))
        if isinstance(label, float):
            numbers[part].append(label)
    for name in sorted(set().union(*counts.values())):
        yield f"class {name}", ", ".join(f"{part} {counts[part][name]:,}" for part in PARTS)
    for part in PARTS:
        if numbers[part]:
            yield f"{part} labels", spread(numbers[part])


def number_facts(contents: Contents, modality: str) -> Iterator[Fact]:
    """How the numbers in a table's columns are spread."""
    for name in contents.modalities[modality].columns:
        if contents.types[name].kind == "number":
            numbers = contents.table.numbers(name)
            yield f"column {name}, numbers", spread(numbers[~np.isnan(numbers)])


def usable_facts(contents: Contents, decoded: Decoded, target: Target) -> Iterator[Fact]:
    """What can be trained and tested on, what is missing where, and what guessing reaches."""
    sizes = dict(zip(decoded.datasets, map(len, decoded.datasets.values()), strict=True))
    for part, size in sizes.items():
        yield part, f"{size:,} samples"
    for name in contents.modalities:
        absent = {}
        for part, dataset in decoded.datasets.items():
            absent[part] = int((dataset.columns[name].index < 0).sum())
        if any(absent.values()):
            shown = ", ".join(f"{part} {absent[part]:,} of {sizes[part]:,}" for part in PARTS)
            yield f"without {name}", shown
    yield "usable", f"{sum(sizes.values()):,} of {contents.table.total:,} rows"
    if all(sizes.values()):
        yield "guessing", _guessing(decoded, target)


def _guessing(decoded: Decoded, target: Target) -> str:
    """The test score that needs no input."""
    if isinstance(target, Number):
        return "the training mean for every test sample scores 0 of R\N{SUPERSCRIPT TWO}"
    train, test = decoded.datasets["train"].labels, decoded.datasets["test"].labels
    if isinstance(target, Classes):
        most = int(train.bincount().argmax())
        share = float((test == most).double().mean())
        return f"'{target.names[most]}' for every test sample scores {100 * share:.1f}% of accuracy"
    return f"a test sample has {100 * float(test.mean()):.1f}% of the labels on average"
