"""Goes through a table and takes out what cannot be used."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pyarrow

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._cells import counted, mask_quoted
from mmpareto.data.tables._columns import ColumnType
from mmpareto.data.tables._contents import Contents, Fault
from mmpareto.data.tables._doubts import doubtful_columns
from mmpareto.data.tables._faults import check_cells, check_classes, check_trainable
from mmpareto.data.tables._guess import column_types
from mmpareto.data.tables._labels import (
    Label,
    doubts_about,
    guess_task,
    label_numbers,
    names,
    parse_label,
)
from mmpareto.data.tables._modalities import group_columns
from mmpareto.data.tables._settings import MISSING, TableSettings
from mmpareto.data.tables._splitting import NAMES, PARTS, split
from mmpareto.data.tables._table import Table, read_table
from mmpareto.errors import MMParetoError

FRACTIONS = (0.7, 0.1, 0.2)
"""Shares of training, validation and test where neither the file nor the user states any."""

_LOOKED_AT = 64
_DEFAULTS = {field.name: field.default for field in fields(TableSettings)}


def read_contents(settings: TableSettings, path: Path) -> Contents:
    """Reads a table.

    Args:
        settings: How it is to be read.
        path: The file.

    Returns:
        Its contents, with what is wrong with them.

    Raises:
        MMParetoError: If there is no table, or it lacks a column that is needed.
    """
    missing = MISSING if settings.missing is None else settings.missing
    table, root = read_table(path, missing), Path(settings.root or path.parent)
    _add_sounds(table, settings)
    used = _used_columns(table, settings)
    is_drawn = settings.fractions is not None or settings.split not in table.columns
    if is_drawn and settings.fractions is None:
        _check_drawn(table, used)
    task = _task(table, settings)
    stated = settings.types | dict.fromkeys(settings.sounds, "audio")
    types = column_types(table, used, stated, root)
    doubts = list(doubtful_columns(table, types, stated, settings.label, root))
    for name, column, _ in doubts:
        types[name] = column
    for name, column in types.items():
        if column == ("number", "stated"):
            table.read_as_written(name)
    modalities = group_columns(types, settings.tables)
    if not modalities:
        reasons = "".join(f"; {reason}" for _, _, reason in doubts)
        raise MMParetoError(
            f"{path} should have a column for each modality. Found none: state `data.types`"
            f"{reasons}."
        )
    contents = Contents(table, types, modalities, task, "", root, _names(table, settings))
    for _, _, reason in doubts:
        contents.note(reason)
    _check_names(contents, table, settings)
    _take_labels(contents, settings)
    units = table.cells(settings.group) if settings.group is not None else contents.names
    if is_drawn:
        _draw_parts(contents, units, settings)
    else:
        _take_parts(contents, table.cells(settings.split), units)
        contents.division = f"column `{settings.split}`"
    check_cells(contents)
    check_classes(contents)
    check_trainable(contents)
    return contents


def _add_sounds(table: Table, settings: TableSettings) -> None:
    """Adds the columns that are the sound of others."""
    for name, video in settings.sounds.items():
        if video not in table.columns or name in table.columns:
            raise MMParetoError(
                "Parameter `data.sounds` should be names that are free, with columns of videos. "
                f"Found {name}: {video}."
            )
        table.columns[name] = table.columns[video]


def _used_columns(table: Table, settings: TableSettings) -> set[str]:
    """The columns that are no modalities.

    Raises:
        MMParetoError: If one that is needed is not there.
    """
    needed = {"label": settings.label}
    if settings.id != _DEFAULTS["id"] or settings.id in table.columns:
        needed["id"] = settings.id
    if settings.group is not None:
        needed["group"] = settings.group
    if settings.split != _DEFAULTS["split"] and not settings.fractions:
        needed["split"] = settings.split
    for parameter, name in needed.items():
        if name not in table.columns:
            found = f"`{name}`, which is none of {', '.join(table.columns)}"
            raise MMParetoError(
                f"Parameter `data.{parameter}` should be a column of {table.path}. Found {found}."
            )
    return {*needed.values(), settings.split}


def _check_drawn(table: Table, used: set[str]) -> None:
    """Raises if a column seems to be meant for the split column that is missing: it would become an input."""
    for name, column in table.columns.items():
        if name not in used and _says_parts(column[:_LOOKED_AT]) and _says_parts(column):
            raise MMParetoError(
                f"Parameter `data.split` should be the column of {table.path} that says train, val "
                f"or test. Found that `{name}` does: add --data.split {name!r}, or draw with "
                f"--data.fractions '{list(FRACTIONS)}'."
            )


def _says_parts(column: pyarrow.StringArray) -> bool:
    words = {cell.lower() for cell in counted(column)}
    return bool(words) and words <= NAMES.keys()


def _task(table: Table, settings: TableSettings) -> ColumnType:
    name = settings.label
    if name in table.vectors:  # labels that are whole numbers
        lists = table.vectors[name].to_pylist()
        cells = [_joined(numbers) for numbers in lists]
        table.columns[name] = pyarrow.array(cells, pyarrow.string())
    if settings.task != "auto":
        return ColumnType(settings.task, "stated")
    if name in table.lists:
        return ColumnType("labels", "lists")
    return guess_task(table.columns[name], settings.separator)


def _joined(numbers: list[float] | None) -> str | None:
    return ";".join(f"{number:g}" for number in numbers) or None if numbers is not None else None


def _names(table: Table, settings: TableSettings) -> list[str]:
    if settings.id in table.columns:
        return table.cells(settings.id)
    return list(map(str, table.rows.tolist()))


def _check_names(contents: Contents, table: Table, settings: TableSettings) -> None:
    """Takes out the samples that have no name, or another one's."""
    first: dict[str, int] = {}
    faults: dict[int, Fault] = {}
    for place, name in enumerate(contents.names):
        if not name:
            faults[place] = Fault("has no id")
        elif first.setdefault(name, place) != place:
            reason = f"has the id '{name}' of row {table.rows[first[name]]}"
            faults[place] = Fault(reason, "has another row's id")
    contents.leave_out(faults)


def _take_labels(contents: Contents, settings: TableSettings) -> None:
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


def _take_parts(contents: Contents, cells: list[str], units: list[str]) -> None:
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
    members.pop("", None)
    for unit, places in members.items():
        parts = {contents.parts[place] for place in places}
        if len(parts) > 1:
            reason = f"'{unit}' is in several parts: {', '.join(sorted(parts, key=PARTS.index))}"
            contents.problems.append(Finding(contents.row(places[0]), reason))


def _draw_parts(contents: Contents, units: list[str], settings: TableSettings) -> None:
    shares = settings.fractions or FRACTIONS
    together = f", each `{settings.group}` in one part" if settings.group else ""
    contents.division = f"drawn: {shares}, seed {settings.seed}{together}"
    faults = {place: Fault("has no group") for place in contents.parts if not units[place]}
    contents.leave_out(faults)
    places = list(contents.parts)
    strata = [names(contents.labels[place]) or ("",) for place in places]
    parts = split([units[place] for place in places], strata, shares, settings.seed)
    contents.parts = dict(zip(places, parts, strict=True))
