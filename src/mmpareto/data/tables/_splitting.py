"""Which samples are for training, for validation and for the test."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from math import fsum

PARTS = ("train", "val", "test")

NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What may stand in a split column, in any case, and which part it means."""


def split(
    units: Sequence[str],
    strata: Sequence[Sequence[str]],
    fractions: tuple[float, float, float],
    seed: int,
) -> list[str]:
    """Divides samples at random, in proportion within every class.

    Units are taken one by one: first those with the rarest class, then the larger ones, else in an
    order that is a hash's of the seed and the unit's name. Each goes to the part that lacks most
    classes of it altogether, and among such parts to the one that is furthest from its share of
    these classes. So every part has each class as far as there are units enough, training first;
    and the result depends on the samples' names and classes, not on their order or the machine.
    Adding samples can move others.

    Args:
        units: For each sample the name of what is not to be divided: itself, or its group.
        strata: For each sample its classes.
        fractions: Of the samples that each part is to have; they add up to 1.
        seed: Of the order.

    Returns:
        For each sample its part.

    Example:
        >>> split(["a", "b", "c", "d", "e"], [["x"]] * 5, (0.6, 0.2, 0.2), seed=0)
        ['train', 'val', 'train', 'train', 'test']
    """
    counts: dict[str, Counter[str]] = {}
    for unit, classes in zip(units, strata, strict=True):
        counts.setdefault(unit, Counter()).update(classes)
    totals: Counter[str] = sum(counts.values(), Counter())
    shares = {part: share for part, share in zip(PARTS, fractions, strict=True) if share > 0}
    have: dict[str, Counter[str]] = {part: Counter() for part in shares}
    parts = {}
    for unit in sorted(counts, key=lambda unit: _turn(unit, counts[unit], totals, seed)):
        own = counts[unit]
        # A class's few samples weigh as much as another's many.
        need = {
            part: (
                sum(not has[name] for name in own),
                fsum(
                    own[name] * (shares[part] - has[name] / totals[name]) for name in own
                ),  # exact: in any order
            )
            for part, has in have.items()
        }
        parts[unit] = max(need, key=need.__getitem__)
        have[parts[unit]] += own
    return [parts[unit] for unit in units]


def _turn(unit: str, own: Counter[str], totals: Counter[str], seed: int) -> tuple[int, int, str]:
    digest = hashlib.sha256(f"{seed}/{unit}".encode()).hexdigest()
    return min((totals[name] for name in own), default=0), -own.total(), digest
