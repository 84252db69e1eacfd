"""Arrays of one's own: what rows become, who is in which part, and what is refused."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmpareto import recipes
from mmpareto.data import Arrays, Splits
from mmpareto.data.arrays._array_files import read_array
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Number
from mmpareto.training.run import run

COUNT = 60
DRAWS = np.random.default_rng(0)
ARRAYS: dict[str, np.ndarray] = {
    "label": np.repeat(["cat", "dog", "owl"], COUNT // 3),
    "sound": DRAWS.normal(5, 3, (COUNT, 4)),
    "motion": DRAWS.normal(size=(COUNT, 9, 2)).astype(np.float16),
    "image": DRAWS.integers(0, 256, (COUNT, 8, 7), dtype=np.uint8),
    "colour": DRAWS.normal(size=(COUNT, 8, 7, 3)).astype(np.float32),
}


def stored(path: Path, **changes: np.ndarray | None) -> Path:
    """An .npz file, or a folder, with the arrays and changes to them."""
    arrays = {name: array for name, array in (ARRAYS | changes).items() if array is not None}
    if path.suffix == ".npz":
        np.savez_compressed(path, allow_pickle=False, **arrays)
        return path
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array, allow_pickle=False)
    return path


def part_of(splits: Splits) -> dict[int, str]:
    parts: dict[int, str] = {}
    for part, dataset in vars(splits).items():
        parts |= dict.fromkeys(dataset[:]["id"].tolist(), part)
    return parts


@pytest.mark.parametrize("name", ["arrays.npz", "folder"])
def test_rows_become_what_their_axes_say(tmp_path: Path, name: str) -> None:
    recipe = Arrays(stored(tmp_path / name), standardise=False)
    assert recipe.shapes == {
        "colour": (3, 8, 7),
        "image": (1, 8, 7),
        "motion": (9, 2),
        "sound": (4,),
    }
    assert recipe.target == Classes(("cat", "dog", "owl"))
    splits = recipe.load()
    assert [len(part) for part in vars(splits).values()] == [42, 6, 12]
    batch = splits.val[:]
    rows = batch["id"].numpy()
    assert "rows" not in batch
    inputs = batch["inputs"]
    for modality, axes in {"sound": (0, 1), "motion": (0, 1, 2), "colour": (0, 3, 1, 2)}.items():
        expected = ARRAYS[modality][rows].astype(np.float32).transpose(axes)
        assert np.array_equal(inputs[modality].numpy(), expected)
    assert np.array_equal(inputs["image"][:, 0].numpy(), ARRAYS["image"][rows])
    names = [recipe.target.names[label] for label in batch["label"]]
    assert names == ARRAYS["label"][rows].tolist()
    assert Counter(names) == dict.fromkeys(("cat", "dog", "owl"), 2)


def test_channels_may_come_first_and_types_be_stated(tmp_path: Path) -> None:
    turned = ARRAYS["motion"].transpose(0, 2, 1)
    pictures = ARRAYS["colour"].transpose(0, 3, 1, 2)
    path = stored(tmp_path / "a.npz", motion=turned, colour=pictures)
    first = ("motion", "colour")
    types: dict[str, Any] = {"image": "features", "sound": "sequence"}
    recipe = Arrays(path, channels_first=first, types=types, standardise=False)
    assert recipe.shapes == {
        "colour": (3, 8, 7),
        "image": (56,),
        "motion": (9, 2),
        "sound": (4, 1),
    }
    plain = Arrays(stored(tmp_path / "b.npz"), standardise=False).load().test[:]["inputs"]
    for modality in first:
        assert torch.equal(recipe.load().test[:]["inputs"][modality], plain[modality])


def test_each_channel_is_standardised_by_the_training_part_alone(tmp_path: Path) -> None:
    sound = ARRAYS["sound"].copy()
    sound[:, 1] = 7.25
    sound[:, 2] = 1e6 + 0.5 * np.arange(COUNT)
    split = np.array((["train"] * 4 + ["val", "test"]) * (COUNT // 6))
    sound[split == "test"] += 1e4
    splits = Arrays(stored(tmp_path / "a.npz", sound=sound, split=split)).load()
    train = splits.train[:]["inputs"]
    for modality, axes in {"sound": (0,), "motion": (0, 1), "colour": (0, 2, 3)}.items():
        values = train[modality].double()
        varied = values.std(axes, correction=0) > 0
        assert torch.allclose(values.mean(axes), torch.zeros(()).double(), atol=1e-5)
        assert torch.allclose(values.std(axes, correction=0)[varied], torch.ones(()).double())
        assert varied.sum() == (3 if modality == "sound" else len(varied))
    assert (splits.test[:]["inputs"]["sound"][:, 0] > 100).all()


def test_what_lacks_a_modality_is_no_row_and_no_part_of_the_mean(tmp_path: Path) -> None:
    sound = ARRAYS["sound"].copy()
    sound[[3, 30]] = np.nan
    absent = np.zeros(COUNT, bool)
    absent[[3, 4, 59]] = True
    changes = {"sound": sound, "motion_missing": absent, "label": np.arange(COUNT) % 3}
    recipe = Arrays(stored(tmp_path / "a.npz", **changes))
    assert "motion_missing" not in recipe.shapes
    found: dict[str, set[int]] = {"sound": set(), "motion": set()}
    for dataset in vars(recipe.load()).values():
        batch = dataset[:]
        for modality, missing in found.items():
            present = batch.get("rows", {}).get(modality, torch.arange(len(dataset)))
            kept = batch["id"][present].tolist()
            missing |= set(batch["id"].tolist()) - set(kept)
            assert batch["inputs"][modality].isfinite().all()
    assert found == {"sound": {3, 30}, "motion": {3, 4, 59}}
    whole = Arrays(stored(tmp_path / "b.npz", **(changes | {"sound": np.nan_to_num(sound)})))
    difference = recipe.load().train[:]["inputs"]["sound"].mean(0)
    assert not torch.equal(difference, whole.load().train[:]["inputs"]["sound"].mean(0))


def test_no_group_is_divided_and_the_division_depends_on_names_alone(tmp_path: Path) -> None:
    person = np.arange(COUNT) % 20
    names = np.array([f"sample{k}" for k in range(COUNT)])
    recipe = Arrays(stored(tmp_path / "a.npz", group=person))
    parts = part_of(recipe.load())
    for one in range(20):
        assert len({parts[row] for row in np.flatnonzero(person == one).tolist()}) == 1
    assert len(set(parts.values())) == 3
    order = np.random.default_rng(1).permutation(COUNT)
    divisions: list[dict[str, str]] = []
    for number, rows in enumerate((np.arange(COUNT), order)):
        arrays = {name: array[rows] for name, array in (ARRAYS | {"id": names}).items()}
        splits = Arrays(stored(tmp_path / f"{number}.npz", **arrays), seed=3).load()
        divisions.append({})
        for part, dataset in vars(splits).items():
            divisions[-1] |= dict.fromkeys(dataset[:]["id"], part)
    assert divisions[0] == divisions[1]


def test_few_training_samples_are_some_of_the_others(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.npz")
    everything = part_of(Arrays(path, left_out=(0, 1)).load())
    few = part_of(Arrays(path, left_out=(0, 1), per_class=2).load())
    assert few.items() <= everything.items()
    assert {0, 1}.isdisjoint(everything)
    kept = [ARRAYS["label"][row] for row, part in few.items() if part == "train"]
    assert Counter(kept) == dict.fromkeys(("cat", "dog", "owl"), 2)
    rest = [row for row, part in everything.items() if part != "train"]
    assert all(row in few for row in rest)


def test_fractions_are_numbers_to_predict(tmp_path: Path) -> None:
    ages = DRAWS.normal(40, 10, COUNT)
    recipe = Arrays(stored(tmp_path / "a.npz", label=ages))
    train = recipe.load().train[:]
    assert isinstance(recipe.target, Number)
    assert recipe.target.mean == pytest.approx(ages[train["id"]].mean())
    assert recipe.target.std == pytest.approx(ages[train["id"]].std())


def test_a_model_trains_on_all_kinds(tmp_path: Path) -> None:
    data = Arrays(stored(tmp_path / "a.npz", sound_missing=np.arange(COUNT) % 5 == 0))
    config = replace(recipes.cg_digits(), data=data, epochs=1, batch_size=16)
    metrics = run(config, tmp_path / "run", progress=False)
    assert metrics["test"].keys() >= {"joint_accuracy", "motion_accuracy", "image_accuracy"}
    assert pickle.loads(pickle.dumps(data)).shapes == data.shapes


def test_changed_arrays_are_other_data(tmp_path: Path) -> None:
    path = stored(tmp_path / "folder")
    before = Arrays(path).fingerprint
    assert before == Arrays(path).fingerprint
    np.save(path / "sound.npy", ARRAYS["sound"] + 1)
    assert before != Arrays(path).fingerprint


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({}, {"label": "species"}, "no species"),
        ({}, {"inputs": ("smell",)}, "no smell"),
        ({}, {"types": {"smell": "image"}}, "no smell"),
        ({}, {"group": "person"}, "no person"),
        ({"label": None}, {}, "no label"),
        ({"sound": ARRAYS["sound"][:-1]}, {}, "should have 60 rows"),
        ({"sound": np.full((COUNT, 2), [1, np.nan])}, {}, "other numbers in row 0"),
        ({"sound": np.full((COUNT, 2), 1e300)}, {}, "finite in single precision"),
        ({"sound": ARRAYS["label"]}, {}, "should be numbers"),
        ({"sound": np.zeros((COUNT, 0))}, {}, "should be numbers"),
        ({"sound": np.zeros(COUNT)}, {}, "should be features"),
        ({}, {"types": {"sound": "image"}}, "should be features"),
        ({"sound_missing": np.zeros(3, bool)}, {}, "sound_missing"),
        ({"split": np.repeat(["train", "dev"], 30)}, {}, "none in test"),
        ({"split": np.repeat(["train", "later"], 30)}, {}, "Found 'later'"),
        ({"split": np.tile(["train", "val"], 30), "group": np.zeros(60, int)}, {}, "in one part"),
        ({"id": np.zeros(COUNT, int)}, {}, "each sample once"),
        ({"label": np.full(COUNT, np.nan)}, {}, "should be finite"),
        ({"label": np.zeros((COUNT, 2), int)}, {}, "texts or whole numbers"),
        (
            {"sound_missing": np.arange(COUNT) > 57, "motion": None, "image": None, "colour": None},
            {},
            "none of sample 58 and 1 others",
        ),
        ({"split": np.repeat(["train", "val", "test"], 20)}, {}, "none of 'dog'"),
        ({}, {"left_out": (60,)}, "numbers from 0 to 59"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(MMParetoError, match=message) as refused:
        Arrays(stored(tmp_path / "a.npz", **changes), **settings).load()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [{"fractions": (0.5, 0.5, 0.5)}, {"fractions": (1.0, 0.0, 0.0)}, {"per_class": 0}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(MMParetoError, match=f"data.{next(iter(settings))}"):
        Arrays("a.npz", **settings)


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("RAN"),)


def bomb(path: Path) -> None:
    """Zeros, a thousand times as large as the file."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (300, 1 << 20)}
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("sound.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(300):
            member.write(bytes(1 << 20))


def claim(path: Path) -> None:
    """A header that promises more than there is."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("sound.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1 << 10)}
        )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: np.savez(path, sound=np.array([Malicious()], object)), "Python objects"),
        (lambda path: path.write_bytes(pickle.dumps(Malicious())), "NumPy's format"),
        (lambda path: path.write_bytes(b"PK\3\4 broken"), "NumPy's format"),
        (lambda path: path.write_bytes(b""), "NumPy's format"),
        (bomb, "unpacks to"),
        (claim, "it claims"),
    ],
)
def test_hostile_files_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], object],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "arrays.npz"
    write(path)
    with pytest.raises(MMParetoError, match=message) as refused:
        read_array(path, "sound")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "RAN").exists()


def test_objects_in_a_folder_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "sound.npy", np.array([Malicious()], object))
    with pytest.raises(MMParetoError, match="NumPy's format"):
        read_array(tmp_path, "sound")
    with pytest.raises(MMParetoError, match="Found no"):
        Arrays(tmp_path / "nowhere").load()
