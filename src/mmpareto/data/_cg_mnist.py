from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mmpareto.data._absolute import make_absolute
from mmpareto.data._dataset import Splits
from mmpareto.data._recipe import DatasetRecipe, Progress
from mmpareto.data.caching._download import download
from mmpareto.data.caching._place import cache_folder
from mmpareto.data.digits._coloured import DIGITS, Digits, check_variance, coloured_splits
from mmpareto.data.digits._mnist import IDX_FILES, LAYOUT, SIZES, read_mnist
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape

_VAL = 5_000

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SHA256 = {
    "train_images": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train_labels": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "test_images": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "test_labels": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""Checksums of the official files, packed."""


@dataclass(frozen=True)
class CGMNIST(DatasetRecipe):
    """MNIST, gray and coloured: the reconstructed Colored-and-gray MNIST.

    The coloured copy is the gray image, from 0 to 1, times one colour; the ground stays black. The
    colour is normal around a mean of the palette, with the variance given, per channel, and clipped
    to [0, 1]. The palette has one mean per digit, in RGB of 255: 0 (220, 20, 60), 1 (0, 128, 128),
    2 (253, 233, 16), 3 (0, 149, 182), 4 (237, 145, 33), 5 (145, 30, 188), 6 (70, 240, 240), 7 (250,
    197, 187), 8 (210, 245, 60), 9 (128, 0, 0). In training the mean is the digit's own, in the
    validation and test parts that of a digit drawn uniformly.

    Args:
        root: A folder with MNIST as ``mnist.npz`` or as its four official files, or an ``.npz``
            file of any name.
        variance: Variance of the colours' jitter per channel, in units of full intensity squared.
        download: Whether to fetch the official files (12 MB) into the cache folder, instead of
            naming a `root`.

    Example:
        >>> CGMNIST(root="mnist.npz").shapes
        {'gray': (1, 28, 28), 'colour': (3, 28, 28)}
    """

    name = "cg-mnist"
    citation = (
        "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to "
        "document recognition, Proceedings of the IEEE, 1998; coloured after CG-MNIST (a "
        "reconstruction)."
    )
    notes = (
        "cg-mnist is a reconstruction of CG-MNIST: in training the colour tells the digit, in the "
        "validation part (5,000 images held out of MNIST's training part) and in the test part it "
        "is drawn at random. Selecting epochs on such a validation part assumes that the shift to "
        "be met is known, for every method alike.",
    )
    layout = f"In root: {LAYOUT} With --data.download true they are fetched."

    root: Path | str | None = None
    variance: float = 0.03
    download: bool = False

    def __post_init__(self) -> None:
        check_variance(self.variance)
        if self.root is not None and self.download:
            raise MMParetoError(
                "Parameter `data.download` should be false where `data.root` says where MNIST is. "
                f"Found {self.root}."
            )
        make_absolute(self, "root")

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"gray": (1, 28, 28), "colour": (3, 28, 28)}

    @property
    def target(self) -> Classes:
        return Classes(DIGITS)

    def load(self) -> Splits:
        return self._load()

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        self._load(progress)

    def _load(self, progress: Progress | None = None) -> Splits:
        if self.root is None and not self.download:
            raise MMParetoError(
                "Parameter `data.root` should say where MNIST is. Found none: add --data.root, or "
                "--data.download true."
            )
        mnist = read_mnist(_fetched(progress) if self.root is None else Path(self.root))
        (train_images, train_labels), (test_images, test_labels) = mnist["train"], mnist["test"]
        digits = Digits(
            torch.cat([train_images, test_images]), torch.cat([train_labels, test_labels])
        )
        order = torch.randperm(SIZES["train"], generator=torch.Generator().manual_seed(0))
        val, train = order.tensor_split([_VAL])
        test = torch.arange(SIZES["train"], len(digits.labels))
        parts = {"train": train, "val": val, "test": test}
        return coloured_splits(
            digits, parts, self.variance, white=255, gray_mean=0.1307, gray_std=0.3081
        )


def _fetched(progress: Progress | None) -> Path:
    """The folder of the official files, after they have been fetched."""
    folder = cache_folder() / "mnist"
    for key, name in IDX_FILES.items():
        download(f"{name}.gz", _SHA256[key], _MIRRORS, folder, progress)
    return folder
