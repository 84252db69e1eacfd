"""Which array is what."""

from __future__ import annotations

from dataclasses import dataclass

from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.errors import MMParetoError

MISSING = "_missing"
"""Ends the name of an array that says which samples lack the modality of the rest of the name."""


@dataclass(frozen=True)
class Roles:
    """Names of arrays.

    Args:
        inputs: The modalities.
        split: The samples' parts; None if they are drawn.
        group: What is not to be divided; None where there is nothing.
        id: The samples' names; None for their numbers.
    """

    inputs: tuple[str, ...]
    split: str | None
    group: str | None
    id: str | None


def find_roles(settings: ArraySettings, names: list[str]) -> Roles:
    """Finds which array is what.

    Raises:
        MMParetoError: If an array that the settings name is missing, or there is no modality.
    """
    optional: dict[str, str | None] = {}
    for role in ("split", "group", "id"):
        stated = getattr(settings, role)
        optional[role] = stated or (role if role in names else None)
    taken = {settings.label, *filter(None, optional.values())}
    inputs = settings.inputs
    if inputs is None:
        taken_with_masks = taken | {name + MISSING for name in names}
        inputs = tuple(name for name in names if name not in taken_with_masks)
    absent = sorted({*taken, *inputs, *settings.types, *settings.channels_first} - set(names))
    if absent or not inputs:
        raise MMParetoError(
            f"{settings.path} should have the arrays that the settings name, and one for each "
            f"modality. Found no {', '.join(absent) or 'modality'}, but {', '.join(names)}."
        )
    return Roles(inputs, **optional)
