"""The table of a tuning: one validation score for each method, point and seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmpareto._storage._csv import read_records, write_records

_FILE = "points.csv"


@dataclass(frozen=True)
class Trial:
    """A training of a tuning.

    Args:
        method: Its method.
        point: Number of its point; 0 is the defaults.
        seed: Its seed.
        settings: What the point sets for the method, as ``name=number; name=number``, or
            ``defaults``.
        metric: Name of the score.
        value: The score on the validation part.
    """

    method: str
    point: int
    seed: int
    settings: str
    metric: str
    value: float


def write_trials(folder: Path, trials: Iterable[Trial]) -> None:
    """Writes ``points.csv``."""
    write_records(folder / _FILE, Trial, trials)


def holds_trials(folder: Path) -> bool:
    """Whether a folder is that of a tuning."""
    return (folder / _FILE).exists()


def read_trials(folder: Path) -> list[Trial]:
    """Reads ``points.csv``.

    Raises:
        MMParetoError: If the file is not there, or malformed.
    """
    return read_records(folder / _FILE, Trial)
