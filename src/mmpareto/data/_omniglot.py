from __future__ import annotations

from dataclasses import dataclass

from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.data.arrays._public_arrays import PublicArrays


@dataclass(frozen=True)
class Omniglot(PublicArrays):
    """Handwritten characters of Omniglot's two small sets, 20 each: image, and strokes of the pen.

    Example:
        >>> Omniglot("omniglot_small.npz").seed
        0
    """

    name = "omniglot"
    citation = (
        "B. Lake, R. Salakhutdinov and J. Tenenbaum, Human-level concept learning through "
        "probabilistic program induction, Science, 2015; github.com/brendenlake/omniglot, MIT."
    )
    notes = (
        "20 drawings of a character are divided 10, 5 and 5, at random: those who drew a character "
        "in the test part drew others in the training part.",
    )
    layout = (
        "An .npz file with image [n, 35, 35] in whole bytes, strokes [n, 4, 64] (x, y, time, and "
        "the number of the stroke, at 64 points in order), and character [n]."
    )

    @property
    def settings(self) -> ArraySettings:
        return self._settings(
            inputs=("image", "strokes"), label="character", channels_first=("strokes",)
        )
