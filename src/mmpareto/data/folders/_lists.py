"""Parts of a data set: read from the user's lists, or held out of another part."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpareto._files import digest, read_text
from mmpareto.data.tables._splitting import split
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class Row:
    """One line of a list.

    Args:
        where: Its file and number, for messages.
        cells: What it says; the first is the sample's name.
    """

    where: str
    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the sample."""
        return self.cells[0]


def read_lists(folder: Path, columns: Sequence[str]) -> dict[str, list[Row]]:
    """Lists ``train.csv``, ``test.csv`` and, if it is there, ``val.csv``, without headings.

    Args:
        folder: Where they are.
        columns: What is in a row, beginning with the sample's name.

    Returns:
        The rows of each part, in order.

    Raises:
        MMParetoError: If a list is missing, a row has another number of cells or no plain file name
            in its first, or a sample is listed twice.
    """
    paths = _paths(folder).items()
    lists = {
        part: _read_list(path, columns) for part, path in paths if part != "val" or path.exists()
    }
    known: dict[str, str] = {}
    for row in (row for rows in lists.values() for row in rows):
        if row.name in known:
            raise MMParetoError(
                f"{row.where} should name a sample that is listed nowhere else. Found {row.name}, "
                f"as in {known[row.name]}: delete one of the two."
            )
        known[row.name] = row.where
    return lists


def fingerprint(folder: Path) -> str:
    """Changes with what the lists of a folder say."""
    return digest(_paths(folder).values())


def _paths(folder: Path) -> dict[str, Path]:
    return {part: folder / f"{part}.csv" for part in ("train", "val", "test")}


def _read_list(path: Path, columns: Sequence[str]) -> list[Row]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = tuple(cell.strip() for cell in next(csv.reader([line]), ()))
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
        rows.append(Row(where, cells))
    return rows


def with_validation(
    parts: Mapping[str, Sequence[int]], names: Sequence[str], labels: Sequence[int], seed: int
) -> dict[str, Sequence[int]]:
    """`parts` with a part ``"val"``: if there is none, a ninth of ``"train"``, at random, of every class alike.

    Args:
        parts: Numbers of the samples in each part.
        names: Of all samples.
        labels: Of all samples.
        seed: Of what is held out.

    Returns:
        ``"train"``, ``"val"`` and ``"test"``.

    Example:
        >>> names = [str(number) for number in range(19)]
        >>> parts = with_validation({"train": range(18), "test": [18]}, names, [0] * 9 + [1] * 10, seed=0)
        >>> [len(part) for part in parts.values()], [number // 9 for number in parts["val"]]
        ([16, 2, 1], [0, 1])
    """
    if "val" in parts:
        return dict(parts)
    train = parts["train"]
    chosen = split(
        [names[n] for n in train], [[str(labels[n])] for n in train], (8 / 9, 1 / 9, 0.0), seed
    )
    held = {
        part: [n for n, own in zip(train, chosen, strict=True) if own == part]
        for part in ("train", "val")
    }
    return {**held, "test": parts["test"]}
