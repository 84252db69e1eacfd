"""modelnet40: two of twelve views, chosen by their order."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media import cut, write_image

from mmpareto.balancing import MMPareto
from mmpareto.data import ModelNet40
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig
from mmpareto.training.run import run

KINDS = ("airplane", "flower_pot", "xbox")
SIZES = {"train": 9, "test": 2}
STD, MEAN = (
    torch.tensor(values)[:, None, None] for values in ((0.229, 0.224, 0.225), (0.485, 0.456, 0.406))
)


@pytest.fixture(scope="module", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPARETO_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield


def write_shape(root: Path, kind: str, part: str, number: int, views: int = 12) -> None:
    """Views 1 to 12, each all of one shade, that of the shape plus ten for each view."""
    for view in range(1, views + 1):
        pixels = np.full((16, 16, 3), number + 10 * view, np.uint8)
        write_image(root / kind / part / f"{kind}_{number:04d}_{view}.png", pixels)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> ModelNet40:
    root = tmp_path_factory.mktemp("modelnet40")
    for kind in KINDS:
        for part, size in SIZES.items():
            for number in range(size):
                write_shape(root, kind, part, number + (20 if part == "test" else 0))
    made = ModelNet40(root, size=16)
    made.prepare()
    return made


def shades(values: torch.Tensor) -> list[int]:
    return (255 * (values * STD + MEAN)).mean((1, 2, 3)).round().int().tolist()


@pytest.mark.parametrize("views", [(0, 6), (11, 1)])
def test_the_views_are_those_of_that_number_of_the_named_shape(
    views: tuple[int, int], recipe: ModelNet40
) -> None:
    batch = replace(recipe, views=views).load().test[:]
    numbers = [int(name.split("_")[-1]) for name in batch["id"]]
    for modality, view in zip(("front", "rear"), views, strict=True):
        assert tuple(batch["inputs"][modality].shape[1:]) == recipe.shapes[modality]
        assert shades(batch["inputs"][modality]) == [number + 10 * (view + 1) for number in numbers]
    assert [recipe.target.names[label] for label in batch["label"]] == [
        name.split("/")[0] for name in batch["id"]
    ]


def test_a_ninth_of_each_class_is_held_out(recipe: ModelNet40) -> None:
    splits = recipe.load()
    labels = {part: Counter(dataset[:]["label"].tolist()) for part, dataset in vars(splits).items()}
    of = [recipe.target.names.index(kind) for kind in KINDS]
    assert labels == {
        "train": dict.fromkeys(of, 8),
        "val": dict.fromkeys(of, 1),
        "test": dict.fromkeys(of, 2),
    }
    assert set(splits.val[:]["id"]).isdisjoint(splits.train[:]["id"])
    held = {tuple(replace(recipe, seed=seed).load().val[:]["id"]) for seed in (0, 0, 1, 2)}
    assert 1 < len(held) <= 3


def test_two_epochs_are_trained_and_evaluated(recipe: ModelNet40, tmp_path: Path) -> None:
    config = RunConfig(recipe, MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=8)
    metrics = run(config, tmp_path, progress=False)
    assert set(metrics["test"]) == {"joint_accuracy", "front_accuracy", "rear_accuracy"}


def test_shapes_that_lack_a_view_or_have_a_damaged_one_are_left_out_and_listed(
    recipe: ModelNet40, tmp_path: Path
) -> None:
    shutil.copytree(recipe.root, tmp_path / "copy")
    own = replace(recipe, root=tmp_path / "copy")
    write_shape(tmp_path / "copy", "xbox", "test", 30, views=5)
    damaged = tmp_path / "copy" / "airplane" / "train" / "airplane_0002_7.png"
    cut(damaged, 40)
    with pytest.warns(UserWarning, match="modelnet40: 2 of 34 samples are left out"):
        assert sum(len(part) for part in vars(own.load()).values()) == 32
    problems = {problem.where: problem.reason for problem in own.check().problems}
    assert set(problems) == {str(own.root), "xbox/test/xbox_0030", str(damaged)}
    assert problems["xbox/test/xbox_0030"] == "5 views; needed is number 6, from 0"
    assert problems[str(own.root)].startswith(
        "27 training and 6 test shapes; as published there are 9,843 and 2,468"
    )


@pytest.mark.parametrize("views", [(0, 0), (-1, 3), (0, 1, 2)])
def test_views_that_are_no_two_are_refused(views: tuple[int, ...]) -> None:
    with pytest.raises(
        MMParetoError,
        match=r"Parameter `data\.views` should be two different numbers from 0\. Found",
    ):
        ModelNet40(views=views)


def test_a_folder_without_classes_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        MMParetoError, match=rf"{tmp_path} should hold samples of modelnet40\. Found none"
    ):
        ModelNet40(tmp_path).load()


def test_there_are_forty_classes_in_order() -> None:
    names = ModelNet40().target.names
    assert len(set(names)) == 40
    assert list(names) == sorted(names)
