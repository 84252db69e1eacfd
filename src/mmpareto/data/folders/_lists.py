"""Parts of a data set: read from the user's lists, or held out of another part."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mmpareto._storage._files import digest, read_text
from mmpareto.data._splitting import split
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class ListRow:
    """One line of a list.

    Args:
        where: File and number of the line, for messages.
        cells: What it says; the first is the sample's name.
    """

    where: str
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the sample."""
        return self.cells[0]


Lists = Mapping[str, Sequence[ListRow]]
"""The rows of each part."""


def read_lists(folder: Path, columns: Sequence[str]) -> Lists:
    """Reads ``train.csv``, ``test.csv`` and, if it is there, ``val.csv``, without headings.

    Args:
        folder: Folder of the lists.
        columns: What is in a row, beginning with the sample's name.

    Returns:
        The rows of each part, in order.

    Raises:
        MMParetoError: If a list is missing, a row has another number of cells or no plain file name
            in its first, or a sample is listed twice.
    """
    lists = {}
    for part, path in _paths(folder).items():
        if part != "val" or path.exists():
            lists[part] = _read_list(path, columns)
    places: dict[str, str] = {}
    for row in rows_of(lists):
        if row.name in places:
            raise MMParetoError(
                f"{row.where} should name a sample that is listed nowhere else. Found {row.name}, "
                f"as in {places[row.name]}: delete one of the two."
            )
        places[row.name] = row.where
    return lists


def rows_of(lists: Lists) -> Iterator[ListRow]:
    """The rows of all lists, one list after the other."""
    return chain.from_iterable(lists.values())


def listed_numbers(lists: Lists, names: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the samples in each list.

    Args:
        lists: Lists of samples.
        names: Names of the samples there are. Others are left out.

    Example:
        >>> rows = [ListRow("row 1", ("b",)), ListRow("row 2", ("c",))]
        >>> listed_numbers({"test": rows}, ["a", "b"])
        {'test': [1]}
    """
    numbers = {name: number for number, name in enumerate(names)}
    parts = {}
    for part, rows in lists.items():
        parts[part] = [numbers[row.name] for row in rows if row.name in numbers]
    return parts


def fingerprint(folder: Path) -> str:
    """Changes with what the lists of a folder say."""
    return digest(_paths(folder).values())


def _paths(folder: Path) -> dict[str, Path]:
    return {part: folder / f"{part}.csv" for part in ("train", "val", "test")}


def _read_list(path: Path, columns: Sequence[str]) -> list[ListRow]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = tuple(map(str.strip, next(csv.reader([line]), ())))
        where = f"{path}, row {number}"
        if not any(cells):
            continue
        if len(cells) != len(columns):
            raise MMParetoError(
                f"{where} should be {','.join(columns)}. Found {len(cells)} cells: {line}"
            )
        if cells[0] in ("", ".", "..") or set(cells[0]) & set("/\\\0"):
            raise MMParetoError(
                f"{where} should begin with a name without folders. Found {cells[0]!r}."
            )
        rows.append(ListRow(where, cells))
    return rows


def with_validation(
    parts: Mapping[str, Sequence[int]], names: Sequence[str], labels: Sequence[int], seed: int
) -> dict[str, Sequence[int]]:
    """Adds a part ``"val"`` where there is none: a ninth of ``"train"``, drawn at random.

    Args:
        parts: Numbers of the samples in each part.
        names: Names of all samples.
        labels: Classes of all samples; of every class alike a ninth is held out.
        seed: Seed of what is held out.

    Returns:
        Numbers of the samples in ``"train"``, ``"val"`` and ``"test"``.

    Example:
        >>> names, labels = [str(number) for number in range(19)], [0] * 9 + [1] * 10
        >>> parts = with_validation({"train": range(18), "test": [18]}, names, labels, seed=0)
        >>> [len(part) for part in parts.values()], [number // 9 for number in parts["val"]]
        ([16, 2, 1], [0, 1])
    """
    if "val" in parts:
        return dict(parts)
    train = parts["train"]
    units = [names[number] for number in train]
    strata = [[str(labels[number])] for number in train]
    divided: dict[str, list[int]] = {"train": [], "val": []}
    for number, part in zip(train, split(units, strata, (8 / 9, 1 / 9, 0.0), seed), strict=True):
        divided[part].append(number)
    return {**divided, "test": parts["test"]}
