"""A trained model in use: its folder is complete, and rows are never lost nor read otherwise."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_data import Made
from served_table import rows, training, write

import mmpareto
from mmpareto.balancing import MLA, Ensemble, Method, Uniform
from mmpareto.cli import main
from mmpareto.errors import MMParetoError
from mmpareto.models import MMTMCNN, LateFusionCNN
from mmpareto.training import PredictedRows, RunConfig, export, predict
from mmpareto.training._evaluation import load_model
from mmpareto.training._predicted_rows import in_rows
from mmpareto.training.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PredictedRows]:
    """The folder of a training, moved, whose data are gone; and what it predicted with them."""
    folder = tmp_path_factory.mktemp("trained")
    config = training(write(folder / "data", rows()))
    run(config, folder / "first", progress=False)
    model = load_model(config, folder / "first" / "best.ckpt")
    predictions = predict(model, config.data.load().test, config)
    shutil.rmtree(folder / "data")
    (folder / "first").rename(folder / "moved")
    return folder / "moved", in_rows(predictions, config.data.target)


def test_predictions_are_those_of_the_training_after_its_data_are_gone(
    trained: tuple[Path, PredictedRows], tmp_path: Path
) -> None:
    run_folder, before = trained
    tested = [row for row in rows() if row["split"] == "test"]
    new = [{k: v for k, v in row.items() if k not in ("label", "split")} for row in tested]
    table = write(tmp_path, new, "new.csv")
    drawn = torch.get_rng_state()
    after = mmpareto.load(run_folder).predict(table)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert list(after.ids) == list(before.ids) == [row["id"] for row in tested]
    assert after.labels == before.labels
    assert after.missing == before.missing
    assert not any(after.problems)
    for name, values in before.expected.items():
        torch.testing.assert_close(after.expected[name], values.double(), equal_nan=True)
    by_python = mmpareto.load(str(run_folder)).predict(new, root=tmp_path)
    assert by_python.labels == after.labels
    for name, values in after.expected.items():
        assert torch.equal(by_python.expected[name].nan_to_num(-1), values.nan_to_num(-1))


def test_no_row_is_lost_and_each_is_predicted_as_if_it_were_alone(
    trained: tuple[Path, PredictedRows], tmp_path: Path
) -> None:
    new = [{k: v for k, v in row.items() if k not in ("label", "split")} for row in rows(14, 5)]
    table = write(tmp_path, new, "new.csv")
    model = mmpareto.load(trained[0])
    together = model.predict(table)
    assert list(together.ids) == [row["id"] for row in new]
    for place, row in enumerate(new):
        alone = model.predict(row, tmp_path)
        assert alone.labels == [together.labels[place]]
        assert alone.missing[0] == together.missing[place]
        for name, values in alone.expected.items():
            torch.testing.assert_close(together.expected[name][place], values[0], equal_nan=True)
    empty = model.predict([{"id": "x", "age": None}, {"id": "y", "age": 3}])
    assert empty.predicted == [False, True]
    assert empty.labels[0] == ""
    assert empty.missing == [["photo", "note", "table"], ["photo", "note"]]


def test_a_fresh_process_needs_neither_lightning_nor_the_command_line(
    trained: tuple[Path, PredictedRows], tmp_path: Path
) -> None:
    code = (
        "import sys, mmpareto\n"
        f"model = mmpareto.load({str(trained[0])!r})\n"
        "print(model.predict([{'age': 3.5, 'note': 'barks'}, {}]).labels)\n"
        "heavy = {'lightning', 'jsonargparse', 'rich', 'sklearn', 'transformers', 'onnx'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    label, heavy = done.stdout.splitlines()
    assert label in ("['cat', '']", "['dog', '']")
    assert heavy == "set()"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


FILES = ("config.yaml", "model.json", "model.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip])
@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_damaged_folder_is_one_line(
    trained: tuple[Path, PredictedRows],
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], None],
    is_sealed: bool,
) -> None:
    """Also where the checksums are gone, so that each file's own reader has to find it."""
    folder = shutil.copytree(trained[0], tmp_path / "run")
    damage(folder / name)
    if is_sealed:
        with pytest.raises(MMParetoError, match=name) as refused:
            mmpareto.load(folder)
        assert "\n" not in str(refused.value)
        return
    (folder / "checksums.json").unlink()
    said = ""
    try:
        mmpareto.load(folder)
    except MMParetoError as error:
        said = str(error)
    # What is flipped may be a value that could as well be another.
    assert name in said or (damage is flip and not said)


def test_weights_of_another_training_are_refused(
    trained: tuple[Path, PredictedRows], tmp_path: Path
) -> None:
    folder = shutil.copytree(trained[0], tmp_path / "run")
    config = (folder / "config.yaml").read_text().replace("seed: 0", "seed: 1")
    (folder / "config.yaml").write_text(config)
    (folder / "checksums.json").unlink()
    with pytest.raises(MMParetoError, match=r"model\.safetensors .* Found those of another"):
        mmpareto.load(folder)


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_what_the_model_predicts(
    trained: tuple[Path, PredictedRows], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = [{k: v for k, v in row.items() if k not in ("label", "split")} for row in rows(9, 3)]
    new[1]["id"], new[2]["age"] = "=1+1", "old"
    table, out = write(tmp_path, new, "new.csv"), tmp_path / "predictions.csv"
    assert main(["predict", str(trained[0]), str(table), "--out", str(out)]) == 0
    assert "9 rows, 9 with a prediction" in capsys.readouterr().out
    found, expected = cells(out), mmpareto.load(trained[0]).predict(table)
    assert [row["id"] for row in found] == ["s0", "'=1+1", *(row["id"] for row in new[2:])]
    assert [row["prediction"] for row in found] == expected.labels
    assert [row["missing"] for row in found] == ["; ".join(names) for names in expected.missing]
    assert found[2]["problems"] == "column `age`: 'old' is no number"
    for name, values in expected.expected.items():
        for place, label in enumerate(("cat", "dog")):
            for row, value in zip(found, values[:, place].tolist(), strict=True):
                cell = row[f"{name}/{label}"]
                assert (np.float32(cell) == np.float32(value)) if cell else np.isnan(value)
    with out.open("w") as file:
        file.write("id,age,note,photo,coat\n,,,,\na,3,,,\n")
    out.rename(tmp_path / "gaps.csv")
    assert main(["predict", str(trained[0]), str(tmp_path / "gaps.csv"), "--out", str(out)]) == 1
    assert [row["prediction"] == "" for row in cells(out)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "RUN", "none.csv", "--out", "p.csv"], "Found no file none.csv"),
        (["predict", "none", "new.csv", "--out", "p.csv"], "Found no file none/config.yaml"),
        (["predict", "RUN", "new.csv", "--out", "new.csv"], "another file than the table"),
        (["predict", "RUN", "new.csv", "--out", "none/p.csv"], "Found no folder none"),
        (["predict", "RUN", "new.csv"], "--out"),
        (["export", "RUN", "--to", "tflite", "--out", "m"], "should be torch or onnx"),
        (["export", "RUN", "--out", "none/m.onnx"], "Found no folder none"),
    ],
)
def test_what_cannot_be_carried_out_ends_with_two(
    trained: tuple[Path, PredictedRows],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").write_text("id,age\na,3\n")
    with pytest.raises(SystemExit, match="2"):
        main([str(trained[0]) if word == "RUN" else word for word in arguments])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv"}


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_test_predictions_give_the_stored_score(tmp_path: Path, kind: str) -> None:
    config = RunConfig(Made(kind), Uniform(), LateFusionCNN(width=4), epochs=1)
    metrics = run(config, tmp_path / "run", progress=False)["test"]
    rows = cells(tmp_path / "run" / "test_predictions.csv")
    test, target = config.data.load().test, config.data.target
    assert [row["id"] for row in rows] == test[list(range(len(test)))]["id"]
    joint = [name for name in rows[0] if name.startswith("joint")]
    known = [number for number, row in enumerate(rows) if row[joint[0]]]
    label = test.all_labels()[known]
    expected = torch.tensor([[float(rows[n][name]) for name in joint] for n in known]).double()
    if kind == "number":
        expected = (expected - 40) / 10
        assert float(rows[known[0]]["label"]) == float(label[0])
    score = target.score(expected, label)
    assert score == pytest.approx(metrics[f"joint_{target.metric}"], rel=1e-6)
    model = mmpareto.load(tmp_path / "run")
    by_model = model.predict_test()
    assert [row["prediction"] for row in rows] == [
        label if kind != "number" or not label else repr(float(label)) for label in by_model.labels
    ]
    out = tmp_path / "test.csv"
    code = main(["predict", str(tmp_path / "run"), "--out", str(out)])
    assert code == int(len(known) < len(rows))
    assert [row["prediction"] for row in cells(out)] == [row["prediction"] for row in rows]
    with pytest.raises(MMParetoError, match="Found one of made: use `expect`"):
        model.predict([{"table": 3}])


def test_encoders_that_exchange_something_predict_rows_with_gaps(tmp_path: Path) -> None:
    """They take a batch that lacks a modality, and none in which a sample does."""
    table = rows(32)
    for n, row in enumerate(table):
        row["photo"], row["second"] = f"photos/{n}.png", f"photos/{(n + 2) % 32}.png"
        del row["note"], row["age"], row["coat"]
    path = write(tmp_path, table)
    config = training(path, data={"types": {}}, model=MMTMCNN(width=4))
    run(config, tmp_path / "run", progress=False)
    gaps = [{"photo": "photos/1.png"}, {"second": "photos/2.png"}, {}]
    gaps.append({"photo": "photos/1.png", "second": "photos/2.png"})
    found = mmpareto.load(tmp_path / "run").predict(gaps, tmp_path)
    assert found.predicted == [True, True, False, True]
    assert found.missing == [["second"], ["photo"], ["photo", "second"], []]


@pytest.mark.parametrize("method", [Ensemble(), MLA()], ids=["ensemble", "mla"])
def test_methods_that_make_the_joint_prediction_are_served(tmp_path: Path, method: Method) -> None:
    """The one trains other models first, and averages probabilities; the other adapts the model."""
    config = training(write(tmp_path, rows()), method=method, modalities=("note", "table"))
    run(config, tmp_path / "run", progress=False)
    before = in_rows(
        predict(
            load_model(config, tmp_path / "run" / "best.ckpt"), config.data.load().test, config
        ),
        config.data.target,
    )
    (tmp_path / "pets.csv").unlink()
    model = mmpareto.load(tmp_path / "run")
    after = model.predict([row for row in rows() if row["split"] == "test"], tmp_path)
    assert after.labels == before.labels
    for name, values in before.expected.items():
        known = values.isfinite().all(1)
        torch.testing.assert_close(values[known].sum(1), torch.ones(int(known.sum())))
        torch.testing.assert_close(after.expected[name], values.double(), equal_nan=True)
    export(tmp_path / "run", "torch", tmp_path / "model.pt2")
