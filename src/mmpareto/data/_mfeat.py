from __future__ import annotations

from dataclasses import dataclass

from mmpareto.data.arrays._array_settings import ArraySettings
from mmpareto.data.arrays._public_arrays import PublicArrays


@dataclass(frozen=True)
class MFeat(PublicArrays):
    """Handwritten digits, 200 each, in six views of features.

    They are correlations of profiles (fac), Fourier (fou) and Karhunen-Loeve (kar) coefficients,
    morphology (mor), averages of pixels (pix) and Zernike moments (zer).

    Example:
        >>> MFeat("uci_mfeat.npz", per_class=20).per_class
        20
    """

    name = "mfeat"
    citation = (
        "R. Duin, Multiple Features, UCI Machine Learning Repository 72, doi 10.24432/C5HC70, CC "
        "BY 4.0."
    )
    notes = ("200 digits of a class are divided 100, 50 and 50, at random.",)
    layout = (
        "An .npz file with float arrays fac [2000, 216], fou [2000, 76], kar [2000, 64], mor "
        "[2000, 6], pix [2000, 240] and zer [2000, 47], and label [2000]."
    )

    @property
    def settings(self) -> ArraySettings:
        return self._settings(inputs=("fac", "fou", "kar", "mor", "pix", "zer"))
