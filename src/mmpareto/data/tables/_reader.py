"""How a trained model reads new rows: what it keeps of the table that it was trained on."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow

from mmpareto.data.samples._transform import Transform
from mmpareto.data.tables._cells import counted
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._file_inputs import ArrayInput, FileInput, SoundInput
from mmpareto.data.tables._guess import parse_number
from mmpareto.data.tables._inputs import Input, TableInput, TextInput, VectorInput
from mmpareto.data.tables._new_rows import NewRows
from mmpareto.data.tables._numbers import has_decimal_comma
from mmpareto.data.tables._python_rows import table_of
from mmpareto.data.tables._settings import MISSING, TableSettings
from mmpareto.data.tables._table import Table, read_table
from mmpareto.data.tables._tabular import OneHot
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape

StoredInput = TableInput | TextInput | VectorInput | SoundInput | ArrayInput | FileInput
"""In the order in which plain values are tried: recordings and arrays are files with more to it."""


@dataclass(frozen=True, eq=False)
class Reader:
    """How rows become inputs of a trained model. All of it is plain values.

    Args:
        id: Column of the rows' names.
        missing: Words that stand for an empty cell.
        inputs: For each modality of the model how its cells are read.
        sounds: Names of modalities with the column of videos whose sound they are.
        written: Columns of numbers that are read as people write them, and whether a comma is a
            decimal one in them.
    """

    id: str
    missing: tuple[str, ...]
    inputs: dict[str, StoredInput]
    sounds: dict[str, str]
    written: dict[str, bool]

    @property
    def shapes(self) -> dict[str, Shape]:
        """For each modality the shape of one sample."""
        return {name: item.shape for name, item in self.inputs.items()}

    def read(
        self,
        rows: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        root: Path | str | None = None,
    ) -> NewRows:
        """Reads rows, none of which is left out. No label is needed, and none is looked at.

        Args:
            rows: A CSV or Parquet file, or rows as `table_of` takes them; one may be alone.
            root: Folder that holds all files, where relative paths begin; None for that of the
                table, and for rows in Python the working folder.

        Raises:
            MMParetoError: If there is no such table, or its columns are not what they were.
        """
        if isinstance(rows, Path | str):
            table, folder = read_table(rows, self.missing), Path(rows).parent
        else:
            singly = [rows] if isinstance(rows, Mapping) else list(rows)
            table, folder = table_of(singly, self.missing), Path()
        self._complete(table, is_file=isinstance(rows, Path | str))
        self._level(table)
        beside = Path(root) if root is not None else folder
        inputs: dict[str, Input] = {}
        for name, item in self.inputs.items():
            inputs[name] = item.beside(beside) if isinstance(item, FileInput) else item
        names = table.cells(self.id) if self.id in table.columns else None
        return NewRows.made_of(table, inputs, names, beside)

    def _complete(self, table: Table, is_file: bool) -> None:
        """Adds the columns that a table lacks, without anything in them."""
        for name, video in self.sounds.items():
            if name not in table.columns and video in table.columns:
                table.columns[name] = table.columns[video]
        wanted: dict[str, str] = {}
        for item in self.inputs.values():
            wanted |= item.cells
        lacking = [name for name in wanted if name not in table.columns]
        if len(lacking) == len(wanted):
            raise MMParetoError(
                f"{table.path} should have columns that the model was trained on: "
                f"{', '.join(wanted)}. Found {', '.join(table.columns)}."
            )
        if lacking and is_file:
            warnings.warn(
                f"{table.path} has no column {', '.join(lacking)}: what the model was trained on "
                "there is missing in all rows.",
                stacklevel=2,
            )
        for name, kind in wanted.items():
            if name in lacking:
                table.columns[name] = pyarrow.nulls(len(table.rows), pyarrow.string())
            _check_kind(table, name, kind)

    def _level(self, table: Table) -> None:
        """Makes cells alike that mean the same, whatever else is in their column."""
        for name, decimal_comma in self.written.items():
            table.read_as_written(name, decimal_comma)
        for item in self.inputs.values():
            if isinstance(item, TableInput):
                for name, feature in zip(item.columns, item.features, strict=True):
                    if isinstance(feature, OneHot):
                        table.columns[name] = _by_value(table.columns[name], feature.categories)


def _check_kind(table: Table, name: str, kind: str) -> None:
    """Raises unless a column holds what it held in the training; an empty one can be of lists."""
    if name in table.unfit:
        raise MMParetoError(
            f"{table.path}, column `{name}`, should be of text or numbers. Found "
            f"{table.unfit[name]}."
        )
    is_list = name in table.vectors
    if kind == "list" and not is_list and not table.filled(name).any():
        kind_of_lists = pyarrow.list_(pyarrow.float64())
        table.vectors[name] = pyarrow.nulls(len(table.rows), kind_of_lists)
    elif (kind == "list") != is_list:
        expected = {"list": "lists of numbers", "file": "paths of files"}.get(kind, kind)
        raise MMParetoError(
            f"{table.path}, column `{name}`, should hold what it held in the training, {expected}. "
            f"Found {'lists of numbers' if is_list else 'text'}."
        )


def _by_value(column: pyarrow.StringArray, categories: Sequence[str]) -> pyarrow.StringArray:
    """Cells as the categories that have their value: 1 and 1.0 are one, whoever wrote them.

    Example:
        >>> _by_value(pyarrow.array(["1.0", "x", "2"]), ["1", "02"]).to_pylist()
        ['1', 'x', '02']
    """
    known, values = set(categories), _numbers_of(categories)
    unknown = [cell for cell in counted(column) if cell not in known]
    named = {cell: values[number] for cell, number in _finite(unknown) if number in values}
    if not named:
        return column
    return pyarrow.array([named.get(cell, cell) for cell in column.to_pylist()], pyarrow.string())


def _numbers_of(categories: Sequence[str]) -> dict[float, str]:
    """Categories by their numbers; two with one number, as 1 and 01, are no numbers but codes."""
    counts = Counter(number for _, number in _finite(categories))
    return {number: name for name, number in _finite(categories) if counts[number] == 1}


def _finite(cells: Sequence[str]) -> list[tuple[str, float]]:
    """Cells that are numbers, with these."""
    pairs = zip(cells, map(parse_number, cells), strict=True)
    return [(cell, number) for cell, number in pairs if number is not None]


def make_reader(
    settings: TableSettings,
    contents: Contents,
    inputs: Mapping[str, Input],
    transforms: Mapping[str, Transform],
) -> Reader:
    """What a model keeps of the table that it was trained on.

    Args:
        settings: How the table was read.
        contents: What it says.
        inputs: How each modality was read.
        transforms: The modalities of the model, with what their items were brought to their units
            by.
    """
    fitted: dict[str, Any] = {}
    for name, transform in transforms.items():
        fitted[name] = inputs[name].fitted(transform)
    written: dict[str, bool] = {}
    for item in fitted.values():
        for name, kind in item.cells.items():
            if kind == "number" and contents.types[name].why == "stated":
                written[name] = has_decimal_comma(contents.table.columns[name])
    missing = MISSING if settings.missing is None else settings.missing
    sounds = {name: video for name, video in settings.sounds.items() if name in fitted}
    return Reader(settings.id, tuple(missing), fitted, sounds, written)
