"""What a tuning chose, in a file that is read as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from mmpareto._storage._files import write_atomically
from mmpareto._storage._yaml import read_yaml
from mmpareto.errors import MMParetoError
from mmpareto.training import restore_fields

FIRST_SEED = 1000
"""Seed of a tuning's first training. Those of comparisons begin at 0, so that they are fresh."""

_FILE = "tuned.yaml"


@dataclass(frozen=True)
class Choice:
    """The point at which a method is best on the validation part.

    Args:
        point: Its number; 0 is the defaults.
        score: Mean joint score on the validation part.
        settings: Numbers by dotted name; none for the defaults.
    """

    point: int
    score: float
    settings: Mapping[str, float]


@dataclass(frozen=True)
class Tuned:
    """The choices of a tuning.

    Args:
        dataset: Name of the data set.
        budget: Points that every method tried, the defaults among them.
        seeds: Trainings at each point, with seeds from `FIRST_SEED`.
        choices: Choices by method; those that failed at every point are not among them.
    """

    dataset: str
    budget: int
    seeds: int
    choices: Mapping[str, Choice]

    def settings(self, method: str) -> tuple[tuple[str, float], ...]:
        """What was chosen for a method: dotted names and numbers."""
        return tuple(self.choices[method].settings.items())

    @property
    def sentence(self) -> str:
        """How the settings were chosen."""
        last = FIRST_SEED + self.seeds - 1
        return (
            "Settings are those of each method that scored best on the validation part, out of a "
            f"budget of {self.budget}: the same points for all methods, the defaults among them. "
            f"Seeds of the tuning: {FIRST_SEED} to {last}, none of which is tested."
        )


def describe_settings(settings: Mapping[str, float]) -> str:
    """Settings in words.

    Example:
        >>> describe_settings({"optimizer.lr": 0.0123456}), describe_settings({})
        ('optimizer.lr 0.01235', 'defaults')
    """
    parts = [f"{name} {value:.4g}" for name, value in settings.items()]
    return ", ".join(parts) or "defaults"


def write_tuned(folder: Path, tuned: Tuned) -> None:
    """Writes the choices into a folder."""
    content = yaml.safe_dump(asdict(tuned), sort_keys=False, width=100)
    write_atomically(folder / _FILE, content)


def read_tuned(folder: Path) -> Tuned:
    """Reads the choices in a folder.

    Raises:
        MMParetoError: If there are none, or the file is malformed.
    """
    if not (folder / _FILE).is_file():
        raise MMParetoError(
            "Parameter `tuned` should be a folder that `mmpareto tune` has finished. Found no file "
            f"{folder / _FILE}."
        )
    tuned: Tuned = restore_fields(Tuned, read_yaml(folder / _FILE), str(folder / _FILE))
    return tuned


def stored_tuned(folder: Path) -> Tuned | None:
    """The choices that a comparison took; None where it took none."""
    return read_tuned(folder) if (folder / _FILE).exists() else None


def check_fits(
    tuned: Tuned, folder: Path, changes: Sequence[str], methods: Sequence[str], seeds: int
) -> None:
    """Checks that choices are those for a comparison.

    Args:
        tuned: The choices.
        folder: Where they are.
        changes: In what the comparison's trainings differ from those of the tuning otherwise.
        methods: Methods of the comparison.
        seeds: Number of its seeds.

    Raises:
        MMParetoError: If they are not.
    """
    expected = f"Parameter `tuned` should be a tuning of these trainings. Found in {folder} "
    if changes:
        raise MMParetoError(f"{expected}others ({'; '.join(changes)}). Tune these.")
    missing = [method for method in methods if method not in tuned.choices]
    if missing:
        raise MMParetoError(
            f"{expected}no choice for {', '.join(missing)}. Tune with --methods "
            f"{','.join(missing)}, or leave them out."
        )
    if seeds > FIRST_SEED:
        raise MMParetoError(
            f"Parameter `seeds` should be at most {FIRST_SEED} with `tuned`: those from "
            f"{FIRST_SEED} on are a tuning's. Found {seeds}."
        )


def check_same_choice(out: Path, tuned: Tuned | None) -> None:
    """Checks that a comparison's folder has the settings that its methods get now.

    Raises:
        MMParetoError: If it has others.
    """
    stored = stored_tuned(out)
    changes: list[str] = []
    if (stored is None) != (tuned is None):
        changes.append(f"{'no tuning' if stored is None else 'a tuning'} there, now the contrary")
    elif stored is not None and tuned is not None:
        for method, choice in tuned.choices.items():
            before = stored.choices.get(method, choice)
            if before.settings != choice.settings:
                there, now = map(describe_settings, (before.settings, choice.settings))
                changes.append(f"{method} {there} there, {now} now")
    if changes:
        raise MMParetoError(
            "Parameter `out` should be a new folder, or one with this very comparison. Found in "
            f"{out} other tuned settings ({'; '.join(changes)}). Choose another folder."
        )
