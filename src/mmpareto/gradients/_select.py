"""Parts of lists and mappings, in their order."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TypeVar

from torch import Tensor

Item = TypeVar("Item")


def among(items: Iterable[Item], chosen: Container[Item]) -> list[Item]:
    """The items that are in `chosen`.

    Example:
        >>> among([3, 1, 2], {1, 3})
        [3, 1]
    """
    return [item for item in items if item in chosen]


def outside(items: Iterable[Item], excluded: Container[Item]) -> list[Item]:
    """The items that are not in `excluded`.

    Example:
        >>> outside([3, 1, 2], {1})
        [3, 2]
    """
    return [item for item in items if item not in excluded]


def pop_all(
    gradients: dict[Tensor, Tensor | None], leaves: Iterable[Tensor]
) -> list[Tensor | None]:
    """Takes the gradients of `leaves` out; None for those that are not there."""
    return [gradients.pop(leaf, None) for leaf in leaves]
