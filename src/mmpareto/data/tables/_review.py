"""Goes through a manifest and takes out what cannot be used."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from mmpareto.data._recipe import Finding
from mmpareto.data.tables._columns import Typed, column_types
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._faults import check_cells, check_classes, check_trainable
from mmpareto.data.tables._labels import guess_task, names, parse_label
from mmpareto.data.tables._modalities import group_columns
from mmpareto.data.tables._settings import TableSettings
from mmpareto.data.tables._splitting import NAMES, PARTS, split
from mmpareto.data.tables._table import Table, read_table
from mmpareto.errors import MMParetoError

FRACTIONS = (0.7, 0.1, 0.2)
"""Shares of training, validation and test where neither the file nor the user states any."""


def read_contents(settings: TableSettings, path: Path) -> Contents:
    """Reads a settings.

    Args:
        settings: How it is to be read.
        path: The file.

    Returns:
        Its contents, with what is wrong with them.

    Raises:
        MMParetoError: If there is no table, or it lacks a column that is needed.
    """
    table, root = read_table(path), Path(settings.root or path.parent)
    drawn = settings.fractions is not None or settings.split not in table.columns
    needed = [("id", settings.id), ("label", settings.label)]
    needed += [("group", settings.group)] if settings.group is not None else []
    needed += (
        [("split", settings.split)]
        if settings.split != TableSettings.split and not settings.fractions
        else []
    )
    for parameter, name in needed:
        if name not in table.columns:
            found = f"`{name}`, which is none of {', '.join(table.columns)}"
            raise MMParetoError(
                f"Parameter `data.{parameter}` should be a column of {path}. Found {found}."
            )
    used = {name for _, name in needed} | {settings.split}
    if drawn and settings.fractions is None:
        _check_drawn(table, used, path)
    task = (
        guess_task(table.columns[settings.label])
        if settings.task == "auto"
        else Typed(settings.task, "stated")
    )
    types = column_types(table, used, settings.types, root)
    modalities = group_columns(types, settings.tables)
    if not modalities:
        raise MMParetoError(
            f"{path} should have a column for each modality. Found none: state `data.types`."
        )
    shares = settings.fractions or FRACTIONS
    whole = f", each `{settings.group}` in one part" if settings.group else ""
    division = (
        f"drawn: {shares}, seed {settings.seed}{whole}" if drawn else f"column `{settings.split}`"
    )
    contents = Contents(table, types, modalities, task, division, root)
    contents.names = table.columns[settings.id]
    _take_names(contents, contents.names)
    _take_labels(contents, table.columns[settings.label])
    if drawn:
        _draw_parts(contents, table.columns[settings.group or settings.id], shares, settings.seed)
    else:
        _take_parts(
            contents, table.columns[settings.split], table.columns[settings.group or settings.id]
        )
    check_cells(contents)
    check_classes(contents)
    check_trainable(contents)
    return contents


def _check_drawn(table: Table, used: set[str], path: Path) -> None:
    """Raises if a column seems to be meant for the split column that is missing: it would become an input."""
    for name, cells in table.columns.items():
        if (
            name not in used
            and (filled := {cell.lower() for cell in cells if cell})
            and filled <= NAMES.keys()
        ):
            raise MMParetoError(
                f"Parameter `data.split` should be the column of {path} that says train, val or "
                f"test. Found that `{name}` does: add --data.split {name!r}, or draw with "
                f"--data.fractions '{list(FRACTIONS)}'."
            )


def _take_names(contents: Contents, cells: list[str]) -> None:
    first: dict[str, int] = {}

    def fault(place: int) -> str | None:
        if not cells[place]:
            return "has no id"
        same = first.setdefault(cells[place], place)
        return (
            None
            if same == place
            else f"has the id '{cells[place]}' of row {contents.table.rows[same]}"
        )

    contents.leave_out(fault)


def _take_labels(contents: Contents, cells: list[str]) -> None:
    task = contents.task.kind
    for place in contents.parts:
        if cells[place] and (label := parse_label(cells[place], task)) is not None:
            contents.labels[place] = label
    kind = "number" if task == "number" else "label"
    contents.leave_out(
        lambda place: (
            None
            if place in contents.labels
            else (f"label '{cells[place]}' is no {kind}" if cells[place] else "has no label")
        )
    )


def _take_parts(contents: Contents, cells: list[str], units: list[str]) -> None:
    known = {place: NAMES.get(cells[place].lower()) for place in contents.parts}
    contents.leave_out(
        lambda place: (
            None if known[place] else f"split '{cells[place]}' is none of {', '.join(PARTS)}"
        )
    )
    contents.parts = {place: known[place] or "" for place in contents.parts}
    members: dict[str, list[int]] = defaultdict(list)
    for place in contents.parts:
        if units[place]:
            members[units[place]].append(place)
    for unit, places in members.items():
        if len(parts := {contents.parts[place] for place in places}) > 1:
            reason = f"'{unit}' is in several parts: {', '.join(sorted(parts, key=PARTS.index))}"
            contents.problems.append(Finding(contents.row(places[0]), reason))


def _draw_parts(
    contents: Contents, units: list[str], shares: tuple[float, float, float], seed: int
) -> None:
    contents.leave_out(lambda place: None if units[place] else "has no group")
    places = list(contents.parts)
    strata = [names(contents.labels[place]) or ("",) for place in places]
    parts = split([units[place] for place in places], strata, shares, seed)
    contents.parts = dict(zip(places, parts, strict=True))
