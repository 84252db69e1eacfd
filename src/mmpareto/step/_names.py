"""Names of losses that are likely slips: under a wrong name a loss is balanced wrongly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from torch import Tensor

from mmpareto.errors import MMParetoError
from mmpareto.gradients import among, outside
from mmpareto.partition import JOINT, Partition

_LIKE_JOINT = ("combined", "fused", "fusion", "joined", "main", "multimodal", "total")
_CLOSE = 0.75
"""Share of letters in common from which one name is taken for a slip of another."""


def check_names(reach: Mapping[str, Collection[Tensor]], partition: Partition) -> None:
    """Raises if a loss was probably meant to be an encoder's own, or the joint one.

    Args:
        reach: For each loss the leaves that it reaches.
        partition: The encoders.

    Raises:
        MMParetoError: If an encoder lacks a loss of its name, and one of a similar name, or a
            single one that reaches it alone of all encoders, is there; or if there is no joint loss
            and one of a similar meaning.
    """
    unknown = outside(reach, {JOINT, *partition})
    if not unknown:
        return
    touched = _touched(reach, partition)
    for encoder in outside(partition, reach):
        _check_own(encoder, touched, unknown)
    if JOINT not in reach and not partition.keys().isdisjoint(reach):
        _check_joint(touched, unknown)


def _check_own(encoder: str, touched: Mapping[str, set[str]], unknown: list[str]) -> None:
    """Raises if the loss that an encoder lacks is likely there by another name."""
    reaching = [name for name, encoders in touched.items() if encoder in encoders]
    candidates = among(unknown, reaching)
    similar = get_close_matches(encoder, candidates, 1, _CLOSE)
    if similar:
        raise _misnamed(similar[0], encoder, "has nearly the name of an encoder")
    alone = [name for name in reaching if len(touched[name]) == 1]
    if len(alone) == 1 and len(reaching) > 1 and alone[0] in candidates:
        raise _misnamed(alone[0], encoder, "reaches one encoder alone")


def _check_joint(touched: Mapping[str, set[str]], unknown: list[str]) -> None:
    """Raises if the joint loss is likely there by another name."""
    for name in unknown:
        like_joint = name.lower() in _LIKE_JOINT or get_close_matches(JOINT, [name], 1, _CLOSE)
        if like_joint and len(touched[name]) > 1:
            raise _misnamed(name, JOINT, "reaches several encoders, and no other is joint")


def _misnamed(name: str, meant: str, reason: str) -> MMParetoError:
    return MMParetoError(
        f"Parameter `losses` should have the key '{meant}'. Found '{name}', which {reason}. Name "
        f"it '{meant}', or, if all losses that reach an encoder are to be balanced alike, pass "
        'geometry=mp.Geometry(sides="all").'
    )


def _touched(reach: Mapping[str, Collection[Tensor]], partition: Partition) -> dict[str, set[str]]:
    """For each loss the encoders that it reaches."""
    touched = {}
    for name, leaves in reach.items():
        touched[name] = set(map(partition.owner.__getitem__, among(leaves, partition.owner)))
    return touched
