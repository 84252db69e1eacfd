"""The recipes of public arrays, on the real files where these are at hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmpareto import recipes
from mmpareto.data import Leaves100, MFeat, Omniglot
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training.run import run

SETS = Path(__file__).parents[3] / "shared" / "data" / "sets"
FILES: dict[Any, str] = {
    Leaves100: "leaves100.npz",
    MFeat: "uci_mfeat.npz",
    Omniglot: "omniglot_small.npz",
}
SHAPES: dict[Any, dict[str, tuple[int, ...]]] = {
    Leaves100: {"margin": (64,), "shape": (64,), "texture": (64,)},
    MFeat: {
        "fac": (216,),
        "fou": (76,),
        "kar": (64,),
        "mor": (6,),
        "pix": (240,),
        "zer": (47,),
    },
    Omniglot: {"image": (1, 35, 35), "strokes": (64, 4)},
}
SIZES: dict[Any, tuple[int, int, int]] = {
    Leaves100: (799, 400, 400),
    MFeat: (1000, 500, 500),
    Omniglot: (2420, 1210, 1210),
}
every_recipe = pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.name)


def real_file(kind: Any) -> Path:
    path = SETS / FILES[kind]
    if not path.is_file():
        pytest.skip(f"the data set's file {path.name} is not beside the repository")
    return path


@every_recipe
def test_the_real_file_is_read_and_divided(kind: Any) -> None:
    recipe = kind(real_file(kind))
    splits = recipe.load()
    assert recipe.shapes == SHAPES[kind]
    sizes = tuple(map(len, vars(splits).values()))
    assert sum(sizes) == sum(SIZES[kind])
    assert max(abs(a - b) for a, b in zip(sizes, SIZES[kind], strict=True)) <= 1
    counts = Counter(splits.test[:]["label"].tolist())
    assert len(counts) == recipe.target.outputs
    assert max(counts.values()) - min(counts.values()) <= 1
    for values in splits.train[:]["inputs"].values():
        assert values.isfinite().all()
    few = kind(real_file(kind), per_class=3).load()
    assert Counter(few.train[:]["label"].tolist()) == dict.fromkeys(range(recipe.target.outputs), 3)
    assert few.test[:]["id"].tolist() == splits.test[:]["id"].tolist()


def test_pens_and_images_train_together(tmp_path: Path) -> None:
    data = Omniglot(real_file(Omniglot), per_class=1)
    config = replace(recipes.cg_digits(), data=data, model=LateFusionCNN(width=2), epochs=1)
    metrics = run(config, tmp_path, progress=False)
    assert {"image_accuracy", "strokes_accuracy", "joint_accuracy"} <= metrics["test"].keys()


@every_recipe
def test_another_file_is_refused(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(MMParetoError, match=r"data\.path"):
        kind().load()
    np.savez(tmp_path / "other.npz", label=np.arange(9))
    with pytest.raises(MMParetoError, match="Found no "):
        kind(tmp_path / "other.npz").load()
    with pytest.raises(MMParetoError, match="per_class"):
        kind(per_class=0)
