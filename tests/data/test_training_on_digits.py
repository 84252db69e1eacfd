"""av-digits and cg-mnist, from files in the layout of the originals to a trained model."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_digits import mnist_arrays, recordings, write_idx

from mmpareto.balancing import MMPareto
from mmpareto.data import CGMNIST, AVDigits, DatasetRecipe
from mmpareto.data.digits._mnist import IDX_FILES
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig
from mmpareto.training.run import run


def spoken(root: Path) -> AVDigits:
    np.savez(root / "mnist.npz", **mnist_arrays())
    with zipfile.ZipFile(root / "fsdd.zip", "w") as archive:
        for name, content in recordings().items():
            archive.writestr(f"recordings/{name}", content)
    return AVDigits(root, noise=0.5, pairs=640)


def coloured(root: Path) -> CGMNIST:
    for key, array in mnist_arrays().items():
        write_idx(root / f"{IDX_FILES[key]}.gz", array)
    return CGMNIST(root)


@pytest.mark.parametrize(("make", "batch_size"), [(spoken, 16), (coloured, 500)])
def test_two_epochs_are_trained_and_evaluated(
    make: Callable[[Path], DatasetRecipe], batch_size: int, tmp_path: Path
) -> None:
    recipe = make(tmp_path)
    config = RunConfig(recipe, MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=batch_size)
    metrics = run(config, tmp_path / "run", progress=False)
    assert set(metrics["test"]) == {f"{name}_accuracy" for name in ("joint", *recipe.shapes)}
    assert (
        metrics["test"]["joint_accuracy"] > 0.5
    )  # the place of a block tells the digit; a guess is right in 0.1
