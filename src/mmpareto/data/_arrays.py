from __future__ import annotations

from dataclasses import dataclass

from mmpareto.data.arrays._array_recipe import ArrayRecipe
from mmpareto.data.arrays._array_settings import ArraySettings


@dataclass(frozen=True)
class Arrays(ArraySettings, ArrayRecipe):
    """Your own arrays: an .npz file, or a folder of .npy files, one array for each modality.

    Row i of every array is sample i. Features are [n, d], sequences [n, length, channels], images
    [n, height, width] in whole bytes (uint8) or [n, height, width, channels].

    A sample lacks a modality where its row is NaN throughout, or where the array of the modality's
    name and ``_missing`` is true. Labels that are whole numbers or texts are classes; fractions are
    numbers to predict. Without a split the samples are divided at random, in proportion within
    every class, and no group is divided.

    Example:
        >>> Arrays("features.npz", label="species").standardise
        True
    """

    name = "arrays"
    citation = "The user's own data."
    layout = (
        "features.npz, or a folder of .npy files: an array for each modality, a row for each "
        "sample; label; and, if there are such, split, group, id, and NAME_missing for a modality "
        "NAME."
    )

    @property
    def settings(self) -> ArraySettings:
        return self
