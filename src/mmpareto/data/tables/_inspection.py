"""What is cut off, far from all others, or in two parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmpareto.data._recipe import Finding
from mmpareto.data._splitting import PARTS
from mmpareto.data.media._types import FILES
from mmpareto.data.tables._contents import Contents, Fault
from mmpareto.data.tables._facts import Fact, spread
from mmpareto.data.tables._file_inputs import FileInput
from mmpareto.data.tables._gray import GrayDecoder
from mmpareto.data.tables._inputs import TextInput
from mmpareto.data.tables._measures import measure, same_content, surplus
from mmpareto.data.tables._settings import TableSettings
from mmpareto.data.tables._tabular import fence

Inspected = tuple[list[Fact], list[Finding]]

_ROUNDING = 1.01
"""Times a length, up to which a recording is as long as that."""


def cut_texts(contents: Contents, name: str, item: TextInput) -> Inspected:
    """How long the texts are, and how many are cut."""
    column = contents.table.columns[name].take(list(contents.parts)).drop_null()
    lengths = [float(len(item.tokens.numbers(text))) for text in column.to_pylist()]
    most = item.shape.length  # type: ignore[union-attr]
    problems = _cut(contents, name, "texts", "tokens", lengths, most, "text_length")
    return [(f"{name}, tokens", spread(lengths))], problems


def _cut(
    contents: Contents,
    name: str,
    things: str,
    unit: str,
    lengths: Sequence[float],
    most: float,
    setting: str,
) -> list[Finding]:
    cut = [length for length in lengths if length > most * (_ROUNDING if unit == "seconds" else 1)]
    if not cut:
        return []
    lost = 1 - most * len(cut) / sum(cut)
    reason = (
        f"column `{name}`: {len(cut):,} of {len(lengths):,} {things} are longer than {most:g} "
        f"{unit}, and lose {100 * lost:.0f}% of what they say; --data.{setting} {max(cut):g} would "
        "keep all of it"
    )
    return [Finding(contents.table.path.name, reason)]


def far_numbers(contents: Contents, name: str) -> list[Finding]:
    """Numbers that are far from all others of their column."""
    places = np.array(list(contents.parts))
    numbers = contents.table.numbers(name)[places]
    low, high = fence(numbers[~np.isnan(numbers)])
    far = (numbers < low) | (numbers > high)
    if not far.any():
        return []
    near = numbers[~far & ~np.isnan(numbers)]
    faults = {}
    for place in places[far].tolist():
        cell = contents.cell(name, place)
        reason = (
            f"column `{name}`: {cell} is far from all other numbers, which lie from {near.min():g} "
            f"to {near.max():g}; correct it, or add '{cell}' to --data.missing if it says that "
            "there is none"
        )
        faults[place] = Fault(reason, f"{name}: far")
    return contents.findings(faults)


def inspect_files(
    contents: Contents, name: str, settings: TableSettings, item: FileInput
) -> Inspected:
    """How large and how long files are, and what in them is not read."""
    kind = contents.modalities[name].kind
    facts: list[Fact] = []
    faults: dict[int, Fault] = {}
    measured: dict[str, list[float]] = defaultdict(list)
    if kind == "array":
        return [], []
    known: set[str] = set()
    cells = contents.table.cells(name)
    for place in contents.parts:
        cell = cells[place]
        if not cell or cell in known:
            continue
        known.add(cell)
        path = contents.root / cell
        for quantity, value in measure(kind, path).items():
            measured[quantity].append(value)
        reason, cause = surplus(kind, path)
        if reason:
            faults[place] = Fault(f"column `{name}`: {cell} {reason}", f"{name}: {cause}")
    for quantity, values in measured.items():
        facts.append((f"{name}, {quantity}", spread(values)))
    if isinstance(item.decoder, GrayDecoder):
        levels = f"{item.decoder.black:g} becomes black, {item.decoder.white:g} white"
        facts.append((f"{name}, gray of more than 8 bits", levels))
    problems = contents.findings(faults)
    if kind == "audio" and measured["seconds"]:
        seconds, most = measured["seconds"], settings.seconds
        problems += _cut(contents, name, "recordings", "seconds", seconds, most, "seconds")
    return facts, problems


def shared_files(contents: Contents) -> Iterator[Finding]:
    """Files of validation and test that are in an earlier part too, by their content."""
    for name, modality in contents.modalities.items():
        if modality.kind not in FILES or name in contents.table.vectors:
            continue
        users: dict[Path, list[int]] = defaultdict(list)
        cells = contents.table.cells(name)
        for part in PARTS:
            for place in contents.of(part):
                if cells[place]:
                    users[contents.root / cells[place]].append(place)
        faults: dict[int, Fault] = {}
        for group in same_content(users):
            places = [place for path in group for place in users[path]]
            faults |= _in_later_parts(contents, name, places)
        yield from contents.findings(faults)


def _in_later_parts(contents: Contents, name: str, places: Sequence[int]) -> dict[int, Fault]:
    """Of samples with the same file those that are in other parts than the first."""
    first, *others = sorted(places, key=lambda place: PARTS.index(contents.parts[place]))
    part = contents.parts[first]
    faults = {}
    for place in others:
        if contents.parts[place] != part:
            reason = f"{contents.cell(name, place)} is for {contents.parts[place]}"
            same = f"its content is for {part} too: {contents.row(first)}"
            faults[place] = Fault(f"column `{name}`: {reason}, {same}", f"{name}: shared")
    return faults
