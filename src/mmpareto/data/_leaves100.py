from __future__ import annotations

from dataclasses import dataclass

from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.data.arrays._public_arrays import PublicArrays


@dataclass(frozen=True)
class Leaves100(PublicArrays):
    """Leaves of a hundred species, 16 each: margin, shape and texture as 64 features each.

    Example:
        >>> Leaves100("leaves100.npz", per_class=4).per_class
        4
    """

    name = "leaves100"
    citation = (
        "J. Cope, T. Beghin, P. Remagnino and S. Barman, One-hundred plant species leaves, UCI "
        "Machine Learning Repository 241, doi 10.24432/C5RG76, CC BY 4.0; C. Mallah, J. Cope and "
        "J. Orwell, Plant leaf classification using probabilistic integration of shape, texture "
        "and margin features, 2013."
    )
    notes = (
        "The first leaf is left out: its texture is the mean of the others of its species. 16 "
        "leaves of a species are divided 8, 4 and 4, at random.",
    )
    layout = "An .npz file with float arrays margin, shape, texture [1600, 64], and label [1600]."

    @property
    def settings(self) -> ArraySettings:
        return self._settings(inputs=("margin", "shape", "texture"), left_out=(0,))
