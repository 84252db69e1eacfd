"""What a package offers, by the names that users type."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from mmpareto.errors import MMParetoError


def catalogue(package: ModuleType, base: type) -> dict[str, Any]:
    """Classes that `package` exports, by their ``name``.

    Args:
        package: Where to look; its exports are the catalogue, so that one new file and one import
            line add an entry.
        base: Abstract class of the entries.

    Returns:
        The concrete subclasses of `base`, sorted by name.

    Example:
        >>> from mmpareto import optimizers
        >>> list(catalogue(optimizers, optimizers.Optimizer))
        ['adamw', 'sgd', 'torch']
    """
    entries = {}
    for item in vars(package).values():
        if inspect.isclass(item) and issubclass(item, base) and not inspect.isabstract(item):
            name = getattr(item, "name", None)
            if name:
                entries[name] = item
    return dict(sorted(entries.items()))


def find(kind: str, package: ModuleType, base: type, name: str) -> Any:
    """The class called `name`.

    Raises:
        MMParetoError: If there is none; the message lists what there is.
    """
    known = catalogue(package, base)
    if name not in known:
        raise MMParetoError(
            f"Parameter `{kind}` should be one of {', '.join(known)}. Found '{name}'."
        )
    return known[name]
