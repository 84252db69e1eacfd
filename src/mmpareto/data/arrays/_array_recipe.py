"""Data sets that are arrays."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

from mmpareto._storage._files import digest
from mmpareto.data._dataset import Splits
from mmpareto.data._recipe import DatasetRecipe
from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.data.arrays._contents import Contents, read_contents
from mmpareto.specs import Shape, Target

_READ = ("contents", "fingerprint")
"""What is kept once it was read, and is no part of a pickle."""


class ArrayRecipe(DatasetRecipe):
    """A data set of arrays; a subclass says which they are."""

    @property
    @abstractmethod
    def settings(self) -> ArraySettings:
        """Where the arrays are, and what they mean."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _READ}

    @cached_property
    def contents(self) -> Contents:
        """The samples."""
        return read_contents(self.settings)

    @cached_property
    def fingerprint(self) -> str:
        path = Path(self.settings.path or "")
        return digest(sorted(path.glob("*.npy")) if path.is_dir() else [path])

    @property
    def shapes(self) -> dict[str, Shape]:
        return dict(self.contents.shapes)

    @property
    def target(self) -> Target:
        return self.contents.target

    def load(self) -> Splits:
        return self.contents.splits()
