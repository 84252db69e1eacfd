from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmpareto.data._coloured import DIGITS, Digits, check_variance, coloured_splits
from mmpareto.data._recipe import DatasetRecipe, Splits
from mmpareto.errors import MMParetoError

_PARTS = {"train": 60_000, "test": 10_000}
_VAL = 5_000


@dataclass(frozen=True)
class CGMNIST(DatasetRecipe):
    """MNIST, gray and coloured: the reconstructed Colored-and-gray MNIST.

    Args:
        root: An ``.npz`` file with ``train_images`` [60000, 28, 28], ``train_labels``, ``test_images``
            [10000, 28, 28] and ``test_labels``, as uint8; or a folder that holds it as ``mnist.npz``. Needed to load.
        variance: Of the colours' jitter per channel, in units of full intensity squared.

    Example:
        >>> CGMNIST(root="mnist.npz").shapes
        {'gray': (1, 28, 28), 'colour': (3, 28, 28)}
    """

    name = "cg-mnist"
    citation = (
        "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE, 1998; coloured after CG-MNIST (a reconstruction)."
    )
    notes = (
        "cg-mnist is a reconstruction of CG-MNIST: in training the colour tells the digit, in the validation part "
        "(5,000 images held out of MNIST's training part) and in the test part it is drawn at random. Selecting "
        "epochs on such a validation part assumes that the shift to be met is known, for every method alike.",
    )

    root: Path | str | None = None
    variance: float = 0.03

    def __post_init__(self) -> None:
        check_variance(self.variance)
        if self.root is not None:
            object.__setattr__(self, "root", Path(self.root).absolute())  # a run's folder outlives the working one

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"gray": (1, 28, 28), "colour": (3, 28, 28)}

    @property
    def classes(self) -> tuple[str, ...]:
        return DIGITS

    def load(self) -> Splits:
        images, labels = (
            torch.cat([torch.from_numpy(part) for part in parts]) for parts in zip(*self._arrays(), strict=True)
        )
        order = torch.randperm(_PARTS["train"], generator=torch.Generator().manual_seed(0))
        val, train = order.tensor_split([_VAL])
        parts = {"train": train, "val": val, "test": torch.arange(_PARTS["train"], len(labels))}
        digits = Digits(images, labels.long())
        return coloured_splits(digits, parts, self.variance, white=255, gray_mean=0.1307, gray_std=0.3081)

    def _arrays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Images and labels of both parts of MNIST as distributed."""
        if self.root is None:
            raise MMParetoError("Parameter `data.root` should be MNIST as one .npz file. Found none: add --data.root.")
        path = Path(self.root)
        path = path / "mnist.npz" if path.is_dir() else path
        if not path.is_file():
            raise MMParetoError(f"Parameter `data.root` should be MNIST as one .npz file. Found no file {path}.")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = {part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in _PARTS}
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise MMParetoError(
                f"Parameter `data.root` should be an .npz file with uint8 arrays train_images, train_labels, "
                f"test_images and test_labels. Found in {path}: {error}"
            ) from error
        for part, size in _PARTS.items():
            images, labels = found[part]
            if images.shape != (size, 28, 28) or images.dtype != np.uint8 or labels.shape != (size,):
                raise MMParetoError(
                    f"{path} should hold {part}_images as uint8 [{size}, 28, 28] with as many labels. "
                    f"Found {images.dtype} {list(images.shape)} and labels {list(labels.shape)}."
                )
            if labels.min() < 0 or labels.max() > 9:
                raise MMParetoError(
                    f"{path} should hold {part}_labels from 0 to 9. Found {labels.min()} to {labels.max()}."
                )
        return list(found.values())
