"""Paths in settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def make_absolute(recipe: Any, *names: str) -> None:
    """Makes paths among the fields of a frozen dataclass absolute, in its ``__post_init__``.

    The folder of a run keeps its settings, and is used from other working folders.

    Args:
        recipe: The dataclass.
        names: Names of the fields; one that is None stays so.
    """
    for name in names:
        path = getattr(recipe, name)
        if path is not None:
            object.__setattr__(recipe, name, Path(path).absolute())
