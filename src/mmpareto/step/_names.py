"""Names of losses that are probably meant for another: a loss under a wrong name is balanced wrongly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from torch import Tensor

from mmpareto.errors import MMParetoError
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
    touched = _touched(reach, partition)
    unknown = [name for name in reach if name != JOINT and name not in partition]
    if not unknown:
        return
    for encoder in partition:
        reaching = [name for name in reach if encoder in touched[name]]
        if encoder in reach or not reaching:
            continue
        candidates = [name for name in unknown if name in reaching]
        similar = get_close_matches(encoder, candidates, 1, _CLOSE)
        alone = [name for name in candidates if touched[name] == {encoder}]
        if similar:
            raise _misnamed(similar[0], encoder, "has nearly the name of an encoder")
        if len(alone) == 1 and any(len(touched[name]) > 1 for name in reaching):
            raise _misnamed(alone[0], encoder, "reaches one encoder alone")
    if JOINT not in reach and any(encoder in reach for encoder in partition):
        across = [name for name in unknown if len(touched[name]) > 1]
        similar = get_close_matches(JOINT, across, 1, _CLOSE)
        similar += [name for name in across if name.lower() in _LIKE_JOINT]
        if similar:
            raise _misnamed(similar[0], JOINT, "reaches several encoders, and no other is joint")


def _misnamed(name: str, meant: str, reason: str) -> MMParetoError:
    return MMParetoError(
        f"Parameter `losses` should have the key '{meant}'. Found '{name}', which {reason}. Name it "
        f"'{meant}', or, if all losses that reach an encoder are to be balanced alike, pass "
        'geometry=mp.Geometry(sides="all").'
    )


def _touched(reach: Mapping[str, Collection[Tensor]], partition: Partition) -> dict[str, set[str]]:
    """For each loss the encoders that it reaches."""
    owner: dict[Tensor, str] = {}
    for encoder, parameters in partition.items():
        owner |= dict.fromkeys(parameters, encoder)
    return {
        name: {owner[leaf] for leaf in leaves if leaf in owner} for name, leaves in reach.items()
    }
