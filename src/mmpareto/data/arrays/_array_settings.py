"""What a user says of arrays."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmpareto.data._absolute import make_absolute
from mmpareto.data.arrays._scaled import Kind
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class ArraySettings:
    """Where arrays are, and what they mean.

    Args:
        path: An .npz file, or a folder of .npy files.
        inputs: Names of the arrays that are modalities; None for all that are nothing else.
        types: What the rows of some arrays are, where their axes do not say: features, sequence or
            image.
        channels_first: Names of the sequences [n, channels, length] and images [n, channels,
            height, width].
        label: Name of the array of labels.
        split: Name of the array that says which part each sample is in, train, val or test; None
            for ``split`` if there is one.
        group: Name of the array of what is not to be divided, such as a person; None for ``group``
            if there is one.
        id: Name of the array of the samples' names; None for ``id`` if there is one.
        standardise: Whether each feature, or channel, gets the mean 0 and the deviation 1 in the
            training part.
        fractions: Shares of the three parts where they are drawn; they add up to 1.
        per_class: Training samples that are kept of each class, drawn; None for all.
        left_out: Numbers of samples, from 0, that are in no part.
        seed: Seed of what is drawn.
    """

    path: Path | str | None = None
    inputs: tuple[str, ...] | None = None
    types: Mapping[str, Kind] = field(default_factory=dict)
    channels_first: tuple[str, ...] = ()
    label: str = "label"
    split: str | None = None
    group: str | None = None
    id: str | None = None
    standardise: bool = True
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    per_class: int | None = None
    left_out: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        make_absolute(self, "path")
        shares = self.fractions
        if len(shares) != 3 or not all(0 < share < 1 for share in shares):
            raise MMParetoError(
                f"Parameter `data.fractions` should be three numbers above 0. Found {shares!r}."
            )
        if not math.isclose(math.fsum(shares), 1, abs_tol=1e-6):
            raise MMParetoError(f"Parameter `data.fractions` should add up to 1. Found {shares!r}.")
        if self.per_class is not None and self.per_class < 1:
            raise MMParetoError(
                f"Parameter `data.per_class` should be at least 1. Found {self.per_class!r}."
            )
