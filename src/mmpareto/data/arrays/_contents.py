"""The samples that arrays hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._dataset import Splits
from mmpareto.data._splitting import PARTS
from mmpareto.data.arrays._array_files import array_names, read_array
from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.data.arrays._roles import MISSING, Roles, find_roles
from mmpareto.data.arrays._rows import (
    Labels,
    drawn_parts,
    present_rows,
    read_labels,
    standardised,
    stored_parts,
    take_few,
    texts,
)
from mmpareto.data.arrays._scaled import Scaled, kind_of, scaled, unscaled
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape, Target


@dataclass(frozen=True, eq=False)
class Contents:
    """All samples, and the part of each.

    Args:
        columns: Modalities.
        shapes: Shape of one sample of each.
        target: What is predicted.
        labels: Tensor [N].
        ids: Names of the samples, or their numbers.
        parts: Text [N]; empty for what is left out.
    """

    columns: Mapping[str, Column]
    shapes: Mapping[str, Shape]
    target: Target
    labels: Tensor
    ids: list[str] | Tensor
    parts: np.ndarray

    def splits(self) -> Splits:
        """The three parts."""
        return Splits(*map(self._part, PARTS))

    def _part(self, part: str) -> CachedDataset:
        rows = torch.from_numpy(np.flatnonzero(self.parts == part))
        columns: dict[str, Column] = {}
        for name, column in self.columns.items():
            columns[name] = Column(column.source, column.index[rows], column.transform)
        ids = self.ids
        named = ids[rows] if isinstance(ids, Tensor) else [ids[row] for row in rows.tolist()]
        return CachedDataset(columns, self.labels[rows], named)


def read_contents(settings: ArraySettings) -> Contents:
    """Reads arrays, and divides the samples.

    Raises:
        MMParetoError: If a file or an array is missing, or they do not fit together.
    """
    if settings.path is None:
        raise MMParetoError(
            "Parameter `data.path` should be an .npz file, or a folder of .npy files. Found none."
        )
    path = Path(settings.path)
    names = array_names(path)
    roles = find_roles(settings, names)
    labels = read_labels(read_array(path, settings.label), settings.label)
    count = len(labels.values)
    numbers = list(map(str, range(count)))
    ids = texts(_sized(path, roles.id, count), roles.id) if roles.id else numbers
    if len(set(ids)) < len(ids):
        raise MMParetoError(f"Array '{roles.id}' should name each sample once. Found one again.")
    parts = _parts(path, settings, roles, labels, ids)
    train = np.flatnonzero(parts == "train")
    columns: dict[str, Column] = {}
    shapes: dict[str, Shape] = {}
    for name in roles.inputs:
        array = _sized(path, name, count)
        missing = read_array(path, name + MISSING) if name + MISSING in names else None
        columns[name], shapes[name] = _column(array, missing, name, settings, train)
    _check_samples(path, columns, labels, parts)
    return Contents(
        columns,
        shapes,
        standardised(labels, train),
        labels.values,
        ids if roles.id else torch.arange(count),
        parts,
    )


def _sized(path: Path, name: str, count: int) -> np.ndarray:
    """An array of as many rows as there are labels."""
    array = read_array(path, name)
    if len(array) != count:
        raise MMParetoError(
            f"{path}, array '{name}', should have {count} rows, one for each label. Found "
            f"{len(array)}."
        )
    return array


def _parts(
    path: Path, settings: ArraySettings, roles: Roles, labels: Labels, ids: list[str]
) -> np.ndarray:
    """The part of each sample, stored or drawn."""
    count = len(ids)
    groups = texts(_sized(path, roles.group, count), roles.group) if roles.group else None
    if roles.split:
        parts = stored_parts(texts(_sized(path, roles.split, count), roles.split), groups)
    else:
        units = ids if groups is None else groups
        parts = drawn_parts(units, labels, settings.fractions, settings.seed)
    wrong = [row for row in settings.left_out if not 0 <= row < count]
    if wrong:
        raise MMParetoError(
            f"Parameter `data.left_out` should be numbers from 0 to {count - 1}. Found {wrong[0]}."
        )
    parts[list(settings.left_out)] = ""
    if settings.per_class is not None:
        take_few(parts, ids, labels, settings.per_class, settings.seed)
    empty = [part for part in PARTS if not (parts == part).any()]
    if empty:
        raise MMParetoError(
            f"{path} should have samples in each of {', '.join(PARTS)}. Found none in {empty[0]}."
        )
    return parts


def _check_samples(
    path: Path, columns: Mapping[str, Column], labels: Labels, parts: np.ndarray
) -> None:
    """Checks that each sample has a modality, and that what it is can be learned."""
    present = torch.stack([column.index >= 0 for column in columns.values()]).any(0).numpy()
    bare = np.flatnonzero(~present & (parts != ""))
    if len(bare):
        raise MMParetoError(
            f"{path} should have a modality of every sample. Found none of sample {bare[0]} and "
            f"{len(bare) - 1} others. Name them in data.left_out."
        )
    names = np.array([stratum[0] for stratum in labels.strata])
    learned = np.unique(names[parts == "train"])
    unknown = np.flatnonzero(~np.isin(names, learned) & (parts != ""))
    if len(unknown):
        raise MMParetoError(
            f"{path} should have training samples of every class. Found none of "
            f"'{names[unknown[0]]}'. Name its samples in data.left_out."
        )


def _column(
    array: np.ndarray,
    missing: np.ndarray | None,
    name: str,
    settings: ArraySettings,
    train: np.ndarray,
) -> tuple[Column, Shape]:
    """A modality, and the shape of one of its samples."""
    if name in settings.channels_first and array.ndim > 2:
        array = np.moveaxis(array, 1, -1)
    kind = kind_of(array, name, settings.types.get(name))
    native = np.asarray(array, array.dtype.newbyteorder("="))
    present = present_rows(native, missing, name)
    transform: Scaled = unscaled(native, kind)
    if settings.standardise:
        transform = scaled(native, train[present[train]], kind)
    index = torch.from_numpy(np.where(present, np.arange(len(native)), -1))
    return Column(torch.from_numpy(native), index, transform), transform.shape(native)
