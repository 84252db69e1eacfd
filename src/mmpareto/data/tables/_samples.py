"""Names, labels and parts of a table's samples; those that lack one are taken out."""

from __future__ import annotations

from collections import defaultdict

import pyarrow

from mmpareto.data._splitting import NAMES, PARTS, split
from mmpareto.data.tables._cells import counted, mask_quoted
from mmpareto.data.tables._contents import Contents, Fault
from mmpareto.data.tables._labels import Label, doubts_about, label_numbers, names, parse_label
from mmpareto.data.tables._settings import FRACTIONS, TableSettings
from mmpareto.data.tables._table import Table


def names_of(table: Table, settings: TableSettings) -> list[str]:
    """Names of all rows; their numbers where there is no column of names."""
    if settings.id in table.columns:
        return table.cells(settings.id)
    return list(map(str, table.rows.tolist()))


def take_names(contents: Contents) -> None:
    """Takes out the samples that have no name, or another one's."""
    first: dict[str, int] = {}
    faults: dict[int, Fault] = {}
    for place, name in enumerate(contents.names):
        if not name:
            faults[place] = Fault("has no id")
        elif first.setdefault(name, place) != place:
            reason = f"has the id '{name}' of row {contents.table.rows[first[name]]}"
            faults[place] = Fault(reason, "has another row's id")
    contents.leave_out(faults)


def take_labels(contents: Contents, settings: TableSettings) -> None:
    """Takes out the samples that have no label, or none of the task's kind.

    An empty cell, unlike one that says that something is missing, stands for none of several labels
    where these are lists, or where the user states that there are several.
    """
    table, task, name = contents.table, contents.task.kind, settings.label
    column = table.columns[name]
    labels = _labels(column, task, settings.separator)
    without = table.empty.get(name)
    is_list = name in table.lists
    if task == "labels" and without is not None and (is_list or settings.task == "labels"):
        for place in without.nonzero()[0].tolist():
            labels[place] = ()
    faults: dict[int, Fault] = {}
    for place in contents.parts:
        if place in labels:
            contents.labels[place] = labels[place]
        elif column[place].is_valid:
            kind = "number" if task == "number" else "label"
            reason = f"label '{column[place]}' is no {kind}"
            faults[place] = Fault(reason, mask_quoted(reason))
        else:
            faults[place] = Fault("has no label")
    if settings.task == "auto":
        for doubt in doubts_about(column, task):
            contents.note(doubt)
        if task == "labels" and without is not None and without.any() and not is_list:
            contents.note(
                f"{without.sum():,} rows have an empty label, and are left out; state --data.task "
                "labels if they are samples with none of the labels"
            )
    contents.leave_out(faults)


def _labels(column: pyarrow.StringArray, task: str, separator: str | None) -> dict[int, Label]:
    """Labels by the places of their rows."""
    if task == "number":
        numbers = enumerate(label_numbers(column).tolist())
        return {place: number for place, number in numbers if number == number}
    known = {cell: parse_label(cell, task, separator) for cell in counted(column)}
    labels: dict[int, Label] = {}
    for place, cell in enumerate(column.to_pylist()):
        label = known.get(cell)
        if label is not None:
            labels[place] = label
    return labels


def take_parts(contents: Contents, cells: list[str], units: list[str]) -> None:
    """Takes out the samples that are of no part, and names units that are in several.

    Args:
        contents: The samples.
        cells: Cells of the split column.
        units: For each row the name of what should not be divided; ``""`` for none.
    """
    faults: dict[int, Fault] = {}
    members: dict[str, list[int]] = defaultdict(list)
    for place in contents.parts:
        part = NAMES.get(cells[place].lower())
        if part is None:
            reason = f"split '{cells[place]}' is none of {', '.join(PARTS)}"
            faults[place] = Fault(reason, mask_quoted(reason))
        else:
            contents.parts[place] = part
            members[units[place]].append(place)
    contents.leave_out(faults)
    divided: dict[int, Fault] = {}
    for unit, places in members.items():
        parts = {contents.parts[place] for place in places}
        if unit and len(parts) > 1:
            reason = f"'{unit}' is in several parts: {', '.join(sorted(parts, key=PARTS.index))}"
            divided[places[0]] = Fault(reason, "divided")
    contents.problems += contents.findings(divided)


def draw_parts(contents: Contents, units: list[str], settings: TableSettings) -> None:
    """Divides the samples at random; those without a unit are taken out."""
    shares = settings.fractions or FRACTIONS
    together = f", each `{settings.group}` in one part" if settings.group else ""
    contents.division = f"drawn: {shares}, seed {settings.seed}{together}"
    faults = {place: Fault("has no group") for place in contents.parts if not units[place]}
    contents.leave_out(faults)
    places = list(contents.parts)
    strata = [names(contents.labels[place]) or ("",) for place in places]
    kept = list(map(units.__getitem__, places))
    parts = split(kept, strata, shares, settings.seed)
    contents.parts = dict(zip(places, parts, strict=True))
