"""Which classes a stored training may name: those of this library, and those imported already."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from types import ModuleType

from mmpareto import balancing, data, models, optimizers
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method
from mmpareto.data import DatasetRecipe
from mmpareto.models import ModelRecipe
from mmpareto.optimizers import Optimizer

CATALOGUES: dict[type, ModuleType] = {
    DatasetRecipe: data,
    Method: balancing,
    ModelRecipe: models,
    Optimizer: optimizers,
}
"""The package that offers the classes of a kind, by their base class."""


def class_path(kind: type) -> str:
    """Where a class can be imported from; for one of this library, the package that exports it."""
    module = kind.__module__
    if module.startswith("mmpareto."):
        module = module.partition("._")[0]
    return f"{module}.{kind.__qualname__}"


def known_classes(base: type) -> dict[str, type]:
    """What data may name, by class path and, of this library, by name too. Imports nothing.

    A class that is not of this library is known if it derives from `base` and was imported before:
    by the user's own code or command line, never because data name it.

    Args:
        base: One of `CATALOGUES`.
    """
    known: dict[str, type] = {}
    for kind in _subclasses(base):
        # Those of this library that are no dataclass take more than plain values.
        if is_dataclass(kind) or not kind.__module__.startswith("mmpareto."):
            known[class_path(kind)] = kind
    for name, kind in catalogue(CATALOGUES[base], base).items():
        known[name] = known[class_path(kind)] = kind
    return known


def _subclasses(base: type) -> list[type]:
    """The concrete classes that derive from a class, directly or not."""
    concrete: list[type] = []
    kind: type
    for kind in base.__subclasses__():
        concrete += _subclasses(kind)
        if not inspect.isabstract(kind):
            concrete.append(kind)
    return concrete
