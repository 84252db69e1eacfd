"""cg-digits and cg-mnist: what the colour tells, what the splits share, and what is read."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from made_digits import mnist_arrays, write_idx
from mirrors import dead_address, mirror
from sklearn.datasets import load_digits

from mmpareto.data import CGMNIST, CGDigits, DatasetRecipe, _cg_mnist
from mmpareto.data.digits._coloured import COLOUR_MEAN, COLOUR_STD, MEAN_COLOURS, colours
from mmpareto.data.digits._mnist import IDX_FILES
from mmpareto.errors import MMParetoError

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"
needs_mnist = pytest.mark.skipif(not MNIST.exists(), reason=f"needs MNIST as {MNIST}")
RECIPES = [CGDigits(), pytest.param(CGMNIST(MNIST), marks=needs_mnist)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_parts_are_disjoint_and_complete(recipe: DatasetRecipe) -> None:
    splits = recipe.load()
    ids = torch.cat(
        [
            part[:]["id"] if len(part) < 2000 else part.ids
            for part in (splits.train, splits.val, splits.test)
        ]
    )
    assert ids.sort().values.equal(torch.arange(len(ids)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_samples_have_the_stated_form(recipe: DatasetRecipe) -> None:
    dataset = recipe.load().test
    sample, batch = dataset[3], dataset[[3, 1, 2]]
    assert {name: tuple(value.shape) for name, value in sample["inputs"].items()} == recipe.shapes
    assert set(sample) == {"inputs", "label", "id"}
    for name, value in sample["inputs"].items():
        assert value.dtype == torch.float32
        assert batch["inputs"][name][0].equal(value)
    assert batch["label"].shape == (3,)
    assert 0 <= int(sample["label"]) < recipe.target.outputs


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_loads_are_equal(recipe: DatasetRecipe) -> None:
    first, second = recipe.load().test[:50], recipe.load().test[:50]
    assert first["inputs"]["colour"].equal(second["inputs"]["colour"])


def test_digits_are_those_of_scikit_learn() -> None:
    bunch, test = load_digits(), CGDigits().load().test[:]
    gray = test["inputs"]["gray"][:, 0] * 0.3760 + 0.3053
    expected = torch.tensor(bunch.images, dtype=torch.float32)[test["id"]] / 16
    torch.testing.assert_close(gray, expected, rtol=0, atol=1e-6)
    assert test["label"].equal(torch.tensor(bunch.target)[test["id"]])


@needs_mnist
def test_mnist_parts_keep_the_official_test_images() -> None:
    splits, raw = CGMNIST(MNIST).load(), np.load(MNIST)
    test = splits.test[:100]
    gray = (test["inputs"]["gray"][:, 0] * 0.3081 + 0.1307) * 255
    np.testing.assert_allclose(gray, raw["test_images"][:100], atol=1e-3)
    assert test["label"].tolist() == raw["test_labels"][:100].tolist()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (55_000, 5_000, 10_000)


def test_the_coloured_image_is_the_gray_one_in_one_colour_on_black() -> None:
    batch = CGDigits().load().train[:200]
    gray = batch["inputs"]["gray"] * 0.3760 + 0.3053
    mean, std = (torch.tensor(values)[:, None, None] for values in (COLOUR_MEAN, COLOUR_STD))
    colour = batch["inputs"]["colour"] * std + mean
    shade = colour.flatten(2).amax(2) / gray.flatten(2).amax(2)
    torch.testing.assert_close(colour, gray * shade[..., None, None], rtol=0, atol=1e-6)


def nearest_digit(shades: torch.Tensor) -> torch.Tensor:
    return torch.cdist(shades, torch.tensor(MEAN_COLOURS) / 255).argmin(1)


def test_colour_tells_the_class_in_training_but_not_in_validation_and_test() -> None:
    splits = CGDigits(variance=0.001).load()
    share = {
        part: (nearest_digit(dataset.colours) == dataset[:]["label"]).double().mean().item()
        for part, dataset in vars(splits).items()
    }
    assert share["train"] > 0.98
    # Drawn at random from ten: 0.1, give or take four standard errors of 180 samples.
    assert abs(share["val"] - 0.1) < 4 * (0.09 / 180) ** 0.5
    assert abs(share["test"] - 0.1) < 4 * (0.09 / 360) ** 0.5


def test_colours_have_the_stated_mean_and_variance_where_nothing_is_clipped() -> None:
    labels = torch.full((20_000,), 3)  # (0, 149, 182): green and blue are far from both ends
    shades = colours(labels, 0.005, torch.Generator().manual_seed(0), biased=True)[:, 1:]
    torch.testing.assert_close(
        shades.mean(0), torch.tensor([149, 182]) / 255, rtol=0, atol=4 * (0.005 / 20_000) ** 0.5
    )
    torch.testing.assert_close(shades.var(0), torch.full((2,), 0.005), rtol=0.05, atol=0)
    wide = colours(labels, 0.3, torch.Generator().manual_seed(0), biased=True)
    assert wide.min() == 0
    assert wide.max() == 1


@pytest.mark.parametrize("variance", [-0.1, float("nan"), float("inf")])
def test_a_variance_that_is_none_is_refused(variance: float) -> None:
    with pytest.raises(
        MMParetoError, match=r"Parameter `variance` should be finite and not negative\. Found"
    ):
        CGDigits(variance=variance)


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that are no MNIST, by what is wrong."""
    right = {
        f"{part}_{what}": np.zeros(1, np.uint8)
        for part in ("train", "test")
        for what in ("images", "labels")
    }
    paths = {
        name: folder / f"{name}.npz"
        for name in ("text", "empty", "truncated", "keys", "shape", "pickle")
    }
    paths["text"].write_text("no archive")
    paths["empty"].write_bytes(b"")
    np.savez(paths["shape"], **right)
    np.savez(paths["keys"], images=np.zeros(3))
    np.savez(paths["pickle"], **{**right, "train_images": np.array([{}], dtype=object)})
    paths["truncated"].write_bytes(paths["shape"].read_bytes()[:200])
    assert zipfile.is_zipfile(paths["shape"])
    return {**paths, "missing": folder / "missing.npz", "folder": folder}


@pytest.mark.parametrize(
    "wrong", ["text", "empty", "truncated", "keys", "shape", "pickle", "missing", "folder"]
)
def test_a_file_that_is_no_mnist_is_named(wrong: str, tmp_path: Path) -> None:
    path = bad_files(tmp_path)[wrong]
    with pytest.raises(MMParetoError, match=str(path)):
        CGMNIST(path).load()


def test_no_file_at_all_is_said_with_the_option_to_add() -> None:
    with pytest.raises(
        MMParetoError, match=r"Found none: add --data.root, or --data.download true"
    ):
        CGMNIST().load()


def test_official_files_arrays_and_a_download_are_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = mnist_arrays()
    (tmp_path / "official").mkdir()
    files = {
        key: write_idx(tmp_path / "official" / f"{name}.gz", arrays[key])
        for key, name in IDX_FILES.items()
    }
    np.savez(tmp_path / "any.npz", **arrays)
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    checksums = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in files.items()}
    told: list[str] = []
    with mirror(files={path.name: path.read_bytes() for path in files.values()}) as server:
        monkeypatch.setattr(_cg_mnist, "_MIRRORS", (dead_address(), server.address))
        with pytest.raises(
            MMParetoError, match=r"train-images-idx3-ubyte.gz should come .* another checksum"
        ):
            CGMNIST(download=True).load()  # these are not the official ones
        monkeypatch.setattr(_cg_mnist, "_SHA256", checksums)
        CGMNIST(download=True).prepare(progress=lambda what, done, total: told.append(what))
    assert {what.removesuffix(".gz, kB") for what in told} == set(IDX_FILES.values())
    assert {path.name for path in (tmp_path / "cache" / "mnist").glob("*.gz")} == {
        path.name for path in files.values()
    }
    recipes = [
        CGMNIST(tmp_path / "official"),
        CGMNIST(tmp_path / "any.npz"),
        CGMNIST(download=True),
    ]  # now offline
    first, *others = [recipe.load().val[:20] for recipe in recipes]
    for other in others:
        assert first["inputs"]["colour"].equal(other["inputs"]["colour"])
        assert first["label"].equal(other["label"])


def test_a_folder_and_a_download_are_not_both_taken() -> None:
    with pytest.raises(
        MMParetoError, match=r"`data.download` should be false where `data.root` says"
    ):
        CGMNIST("mnist", download=True)


def test_the_palette_and_the_clipping_that_are_documented_are_those_in_use() -> None:
    documented = " ".join((CGMNIST.__doc__ or "").split())
    for digit, colour in enumerate(MEAN_COLOURS):
        assert f"{digit} {colour}" in documented
    assert "reconstruct" in CGMNIST.notes[0]
