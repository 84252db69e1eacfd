"""Goes through a table and takes out what cannot be used."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pyarrow

from mmpareto.data._splitting import NAMES
from mmpareto.data.tables._cells import counted
from mmpareto.data.tables._columns import ColumnType
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._doubts import doubtful_columns
from mmpareto.data.tables._faults import check_cells, check_classes, check_trainable
from mmpareto.data.tables._guess import column_types
from mmpareto.data.tables._labels import guess_task
from mmpareto.data.tables._modalities import group_columns
from mmpareto.data.tables._samples import (
    draw_parts,
    names_of,
    take_labels,
    take_names,
    take_parts,
)
from mmpareto.data.tables._settings import FRACTIONS, MISSING, TableSettings
from mmpareto.data.tables._table import Table, read_table
from mmpareto.errors import MMParetoError

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
    contents = Contents(table, types, modalities, task, "", root, names_of(table, settings))
    for _, _, reason in doubts:
        contents.note(reason)
    take_names(contents)
    take_labels(contents, settings)
    units = table.cells(settings.group) if settings.group is not None else contents.names
    if is_drawn:
        draw_parts(contents, units, settings)
    else:
        take_parts(contents, table.cells(settings.split), units)
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
    """Raises if another column says the parts: it would become an input."""
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
        cells = map(_joined, table.vectors[name].to_pylist())
        table.columns[name] = pyarrow.array(list(cells), pyarrow.string())
    if settings.task != "auto":
        return ColumnType(settings.task, "stated")
    if name in table.lists:
        return ColumnType("labels", "lists")
    return guess_task(table.columns[name], settings.separator)


def _joined(numbers: list[float] | None) -> str | None:
    return ";".join(f"{number:g}" for number in numbers) or None if numbers is not None else None
