"""What the arrays of a data set say of its samples: labels, parts, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from mmpareto.data._splitting import NAMES, PARTS, split
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Number, Target

_CHUNK = 1024
"""Rows that are looked at together."""


@dataclass(frozen=True)
class Labels:
    """What is predicted.

    Args:
        target: Its kind.
        values: int64 [N] of classes, float64 [N] of numbers.
        strata: For each sample its class, none of a number.
    """

    target: Target
    values: Tensor
    strata: Sequence[Sequence[str]]


def texts(array: np.ndarray, name: str) -> list[str]:
    """A cell of text for each sample.

    Raises:
        MMParetoError: If the array is no list of texts or whole numbers.
    """
    if array.ndim != 1 or array.dtype.kind not in "biuUS":
        raise MMParetoError(
            f"Array '{name}' should be texts or whole numbers [samples]. Found {array.dtype} "
            f"{list(array.shape)}."
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return list(map(str, array.tolist()))


def read_labels(array: np.ndarray, name: str) -> Labels:
    """Classes out of whole numbers or texts, in their order; numbers out of fractions.

    Raises:
        MMParetoError: If the array is neither, or a number is not finite.
    """
    if array.ndim == 1 and array.dtype.kind == "f":
        numbers = array.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise MMParetoError(f"Array '{name}' should be finite. Found NaN or infinity in it.")
        return Labels(Number(name), torch.from_numpy(numbers), [("",)] * len(numbers))
    cells = texts(array, name)
    values, places = np.unique(array, return_inverse=True)
    names = texts(values, name)
    classes = [(cell,) for cell in cells]
    return Labels(Classes(tuple(names)), torch.from_numpy(places.astype(np.int64)), classes)


def standardised(labels: Labels, train: np.ndarray) -> Target:
    """The target, in units of the training part's spread if it is a number."""
    if not isinstance(labels.target, Number):
        return labels.target
    values = labels.values.numpy()[train]
    return Number(labels.target.name, float(values.mean()), float(values.std()) or 1.0)


def stored_parts(cells: Sequence[str], groups: Sequence[str] | None) -> np.ndarray:
    """For each sample its part, out of the cells of an array.

    Raises:
        MMParetoError: If a cell names no part, or a group is in several.
    """
    parts = [NAMES.get(cell.strip().lower(), "") for cell in cells]
    if "" in parts:
        raise MMParetoError(
            f"A split should be {', '.join(PARTS)}. Found '{cells[parts.index('')]}'."
        )
    of_group: dict[str, str] = {}
    for group, part in zip(parts if groups is None else groups, parts, strict=True):
        if of_group.setdefault(group, part) != part:
            raise MMParetoError(
                f"A group should be in one part. Found '{group}' in {of_group[group]} and {part}. "
                "Mend the one or the other."
            )
    return np.array(parts)


def drawn_parts(
    units: Sequence[str], labels: Labels, fractions: tuple[float, float, float], seed: int
) -> np.ndarray:
    """For each sample its part, drawn: in proportion within classes, no unit divided."""
    return np.array(split(units, labels.strata, fractions, seed))


def present_rows(array: np.ndarray, missing: np.ndarray | None, name: str) -> np.ndarray:
    """Whether each sample has a modality: bool [N].

    It lacks it where it says so, or where its row is NaN throughout.

    Args:
        array: The modality.
        missing: Truth values [N]; None where nothing says so.
        name: Name of the modality.

    Raises:
        MMParetoError: If `missing` is something else, or a row has other numbers that are not
            finite.
    """
    present = np.ones(len(array), bool)
    if missing is not None:
        if missing.shape != present.shape or missing.dtype.kind not in "biu":
            raise MMParetoError(
                f"Array '{name}_missing' should be truth values [{len(present)}]. Found "
                f"{missing.dtype} {list(missing.shape)}."
            )
        present = ~missing.astype(bool)
    if array.dtype.kind != "f":
        return present
    for start in range(0, len(array), _CHUNK):
        rows = array[start : start + _CHUNK]
        with np.errstate(over="ignore"):
            numbers = np.asarray(rows, np.float32).reshape(len(rows), -1)
        empty = np.isnan(numbers).all(1)
        faulty = np.flatnonzero(
            ~np.isfinite(numbers).all(1) & ~empty & present[start:][: len(rows)]
        )
        if len(faulty):
            raise MMParetoError(
                f"Array '{name}' should be finite in single precision, or NaN in the whole row of "
                f"a sample that lacks it. Found other numbers in row {start + faulty[0]}."
            )
        present[start : start + _CHUNK] &= ~empty
    return present


def take_few(
    parts: np.ndarray, units: Sequence[str], labels: Labels, number: int, seed: int
) -> None:
    """Leaves a number of training samples of each class, the first by a hash of seed and name.

    Args:
        parts: For each sample its part; those that go get none.
        units: Names of the samples.
        labels: Their classes.
        number: How many stay.
        seed: Seed of the order.
    """
    members: dict[str, list[int]] = {}
    for row in np.flatnonzero(parts == "train").tolist():
        members.setdefault(labels.strata[row][0], []).append(row)
    for rows in members.values():
        rows.sort(key=lambda row: sha256(f"few/{seed}/{units[row]}".encode()).hexdigest())
        parts[rows[number:]] = ""
