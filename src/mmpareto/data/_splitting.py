"""Which samples are for training, for validation and for the test."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
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

    The order of units is a hash's of the seed and their names, so the result depends on the
    samples' names and classes, not on their order or the machine. Adding samples can move others.

    Where units are samples of one class each, every part has each class as far as there are
    enough of it, training first, and its share of it but for two samples at most. Where they have
    several classes, as groups and samples with several labels do, see `_balanced`.

    Args:
        units: For each sample the name of what is not to be divided: itself, or its group.
        strata: For each sample its classes.
        fractions: Shares of the parts; they add up to 1.
        seed: Seed of the order.

    Returns:
        For each sample its part.

    Example:
        >>> split(["a", "b", "c", "d", "e"], [["x"]] * 5, (0.6, 0.2, 0.2), seed=0)
        ['train', 'val', 'train', 'train', 'test']
    """
    shares = {part: share for part, share in zip(PARTS, fractions, strict=True) if share > 0}
    hashes = {unit: hashlib.sha256(f"{seed}/{unit}".encode()).hexdigest() for unit in units}
    order = sorted(hashes, key=hashes.__getitem__)
    if len(order) == len(units) and all(len(classes) == 1 for classes in strata):
        names = dict(zip(units, strata, strict=True))
        parts = _one_by_one({unit: names[unit][0] for unit in order}, shares)
    else:
        counts: dict[str, Counter[str]] = {unit: Counter() for unit in order}
        for unit, classes in zip(units, strata, strict=True):
            counts[unit].update(classes)
        parts = _balanced(counts, shares)
    return list(map(parts.__getitem__, units))


def _one_by_one(names: Mapping[str, str], shares: Mapping[str, float]) -> dict[str, str]:
    """Parts of units that are one sample of one class, whose name is given.

    Each goes to a part that has none of its class yet, or else to the one that is furthest from its
    share of it.
    """
    members: dict[str, list[str]] = {}
    for unit, name in names.items():
        members.setdefault(name, []).append(unit)
    parts = {}
    for alike in members.values():
        have = dict.fromkeys(shares, 0)
        for unit in alike:
            lacking = [part for part in have if not have[part]]
            needs = {part: shares[part] - have[part] / len(alike) for part in lacking or have}
            parts[unit] = max(needs, key=needs.__getitem__)
            have[parts[unit]] += 1
    return parts


def _balanced(counts: Mapping[str, Counter[str]], shares: Mapping[str, float]) -> dict[str, str]:
    """Parts of units with samples of several classes.

    Units are taken one by one, first those with the largest portion of a class, so that what is
    rare is divided while there is choice. Each goes to the part that lacks its rarest class
    altogether; or else to the one that brings all parts closest to their shares of all its classes,
    by the squares of what is missing over the share (Pearson's measure, so that a class's few
    samples count as much as another's many, and small parts as much as large ones).
    """
    totals: Counter[str] = Counter()
    for own in counts.values():
        totals.update(own)
    portions = {}
    for unit, own in counts.items():
        portions[unit] = {name: own[name] / totals[name] for name in sorted(own)}
    have = {part: dict.fromkeys(totals, 0.0) for part in shares}
    parts = {}
    for unit in sorted(portions, key=lambda unit: -max(portions[unit].values(), default=0)):
        portion_of = portions[unit]
        rarest = min(portion_of, key=totals.__getitem__, default="")
        lacking = [part for part in shares if not have[part].get(rarest)]
        costs = {}
        for part in lacking or shares:
            costs[part] = fsum(
                (portion**2 + 2 * portion * (have[part][name] - shares[part])) / shares[part]
                for name, portion in portion_of.items()
            )
        parts[unit] = min(costs, key=costs.__getitem__)
        for name, portion in portion_of.items():
            have[parts[unit]][name] += portion
    return parts
