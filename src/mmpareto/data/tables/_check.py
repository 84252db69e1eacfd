"""What there is in a manifest, and what is wrong with it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmpareto.data._recipe import Finding, Findings
from mmpareto.data.tables._columns import FILES
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._inputs import Texts
from mmpareto.data.tables._labels import names
from mmpareto.data.tables._measures import measure, same_content
from mmpareto.data.tables._open_table import OpenTable
from mmpareto.data.tables._splitting import PARTS
from mmpareto.errors import MMParetoError

Fact = tuple[str, str]


def check(opened: OpenTable) -> Findings:
    """Reads and decodes everything.

    Args:
        opened: The table.

    Returns:
        How its columns are understood, its classes, sizes and durations; rows that are left out,
        files that different parts share, and what stands in the way of a training.
    """
    facts: list[Fact] = []
    problems: list[Finding] = []
    try:
        contents = opened.contents
        facts += [*_columns(contents), *_classes(contents)]
        problems += contents.problems
        if any(problem.fatal for problem in problems):
            return Findings(facts, problems)
        decoded = opened.decode()
        facts += [
            *_modalities(opened),
            *((part, f"{len(own):,} samples") for part, own in decoded.datasets.items()),
        ]
        problems += [*decoded.damaged, *_shared(contents)]
        problems += [
            Finding(contents.table.path.name, reason, fatal=True) for reason in decoded.lost
        ]
    except MMParetoError as error:
        problems.append(Finding(str(opened.settings.path), str(error), fatal=True))
    return Findings(facts, problems)


def _columns(contents: Contents) -> Iterator[Fact]:
    used = {column for modality in contents.modalities.values() for column in modality.columns}
    for name, typed in contents.types.items():
        empty = contents.table.columns[name].count("")
        unused = "" if name in used or typed.kind == "ignore" else "; in no table"
        yield f"column {name}", f"{typed.kind} ({typed.why}); {empty:,} empty cells{unused}"
    yield (
        "rows",
        f"{contents.table.total:,}, {contents.table.total - len(contents.parts):,} of them left "
        "out",
    )
    yield "division", contents.division
    yield "label", f"{contents.task.kind} ({contents.task.why})"


def _classes(contents: Contents) -> Iterator[Fact]:
    counts = {
        part: Counter(n for place in contents.of(part) for n in names(contents.labels[place]))
        for part in PARTS
    }
    for name in sorted(set().union(*counts.values())):
        yield f"class {name}", ", ".join(f"{part} {counts[part][name]:,}" for part in PARTS)
    for part in PARTS:
        numbers = [
            label
            for place in contents.of(part)
            if isinstance(label := contents.labels[place], float)
        ]
        if numbers:
            yield f"{part} labels", _spread(numbers)


def _modalities(opened: OpenTable) -> Iterator[Fact]:
    contents, inputs = opened.contents, opened.inputs
    for name, modality in contents.modalities.items():
        rows = [cells for place in contents.parts if any(cells := contents.cells(name, place))]
        yield name, f"{inputs[name].shape}; samples without it: {len(contents.parts) - len(rows):,}"
        measured = defaultdict(list)
        if isinstance(item := inputs[name], Texts):
            measured["tokens"] = [float(len(item.tokens.numbers(cell))) for (cell,) in rows]
        elif modality.kind in ("image", "audio", "video"):
            for path in {contents.root / cell for (cell,) in rows}:
                for quantity, value in measure(modality.kind, path).items():
                    measured[quantity].append(value)
        yield from (
            (f"{name}, {quantity}", _spread(values)) for quantity, values in measured.items()
        )


def _spread(values: Sequence[float]) -> str:
    """What lies between the ends.

    Example:
        >>> _spread([3.0, 1.0, 2.5])
        'from 1 to 3, median 2.5'
    """
    return f"from {min(values):.4g} to {max(values):.4g}, median {statistics.median(values):.4g}"


def _shared(contents: Contents) -> Iterator[Finding]:
    """Files of validation and test that are in an earlier part too, by their content."""
    for name, modality in contents.modalities.items():
        if modality.kind not in FILES:
            continue
        users: dict[Path, list[int]] = defaultdict(list)
        for part in PARTS:
            for place in contents.of(part):
                if cell := contents.cells(name, place)[0]:
                    users[contents.root / cell].append(place)
        for group in same_content(users):
            first, *others = sorted(
                (place for path in group for place in users[path]), key=_part(contents)
            )
            own = contents.parts[first]
            for place in others:
                if contents.parts[place] != own:
                    reason = f"{contents.cells(name, place)[0]} is for {contents.parts[place]}"
                    same = f"its content is for {own} too: {contents.row(first)}"
                    yield Finding(contents.row(place), f"column `{name}`: {reason}, {same}")


def _part(contents: Contents) -> Callable[[int], int]:
    return lambda place: PARTS.index(contents.parts[place])
