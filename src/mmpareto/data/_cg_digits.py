from __future__ import annotations

from dataclasses import dataclass

import torch

from mmpareto.data._dataset import Splits
from mmpareto.data._recipe import DatasetRecipe
from mmpareto.data.digits._coloured import DIGITS, Digits, check_variance, coloured_splits
from mmpareto.specs import Classes, Shape

_TEST, _VAL = 360, 180


@dataclass(frozen=True)
class CGDigits(DatasetRecipe):
    """Scikit-learn's 1,797 handwritten digits, gray and coloured; nothing is downloaded.

    Args:
        variance: Variance of the colours' jitter per channel, in units of full intensity squared.

    Example:
        >>> splits = CGDigits().load()
        >>> len(splits.train), len(splits.val), len(splits.test)
        (1257, 180, 360)
    """

    name = "cg-digits"
    citation = (
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
        "Learning Repository, 1998, as distributed with scikit-learn; coloured after CG-MNIST (a "
        "reconstruction)."
    )
    notes = (
        "cg-digits is coloured like CG-MNIST, a reconstruction: in training the colour tells the "
        "digit, in the validation and test parts it is drawn at random. Selecting epochs on such a "
        "validation part assumes that the shift to be met is known, for every method alike.",
    )

    variance: float = 0.03

    def __post_init__(self) -> None:
        check_variance(self.variance)

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"gray": (1, 8, 8), "colour": (3, 8, 8)}

    @property
    def target(self) -> Classes:
        return Classes(DIGITS)

    def load(self) -> Splits:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        digits = Digits(torch.tensor(bunch.images).to(torch.uint8), torch.tensor(bunch.target))
        order = torch.randperm(len(digits.labels), generator=torch.Generator().manual_seed(0))
        test, val, train = order.tensor_split([_TEST, _TEST + _VAL])
        parts = {"train": train, "val": val, "test": test}
        return coloured_splits(
            digits, parts, self.variance, white=16, gray_mean=0.3053, gray_std=0.3760
        )
