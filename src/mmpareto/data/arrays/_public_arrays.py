"""Public data sets that are one .npz file."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from dataclasses import dataclass
from pathlib import Path

from mmpareto.data._absolute import make_absolute
from mmpareto.data.arrays._array_recipe import ArrayRecipe
from mmpareto.data.arrays._array_settings import ArraySettings

FRACTIONS = (0.5, 0.25, 0.25)
"""Shares of the parts: of few samples per class, more for selection and test than of many."""


@dataclass(frozen=True)
class PublicArrays(ArrayRecipe):
    """Where a public data set is, and how it is divided.

    Args:
        path: The .npz file. Needed.
        per_class: Training samples that are kept of each class, drawn; None for all.
        seed: Seed of the division.
    """

    path: Path | str | None = None
    per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_absolute(self, "path")
        self._settings()

    def _settings(self, **meaning: object) -> ArraySettings:
        """The settings that these recipes have in common, and others."""
        common = {"path": self.path, "fractions": FRACTIONS, "per_class": self.per_class}
        return ArraySettings(**common, seed=self.seed, **meaning)  # type: ignore[arg-type]
