"""Trainings for every target on batches in which samples lack modalities, against loops over single
samples.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_data
import pytest
import torch
from made_data import SHAPES, Made, MadeDataset
from sklearn.metrics import accuracy_score, average_precision_score, r2_score
from torch import Tensor, nn
from torch.nn import functional

from mmpareto.balancing import Joint, MMPareto
from mmpareto.cli import main
from mmpareto.compare import compare, write_report
from mmpareto.compare._results import read_results
from mmpareto.data import EpochIndices
from mmpareto.errors import MMParetoError
from mmpareto.models import BottleneckTransformer, Ensemble, LateFusionCNN, MultimodalModel, Output
from mmpareto.specs import Target
from mmpareto.training import (
    RunConfig,
    load_run,
    save_config,
    stored_metrics,
)
from mmpareto.training._device import SCORED, on_device
from mmpareto.training._loading import select_modalities
from mmpareto.training._mean_losses import MeanLosses
from mmpareto.training._predictions import Collector, predicted
from mmpareto.training.run import run
from processes import run_together

METRICS = {"classes": "accuracy", "labels": "precision", "number": "r2"}
LOG = Path("logs", "csv", "version_0", "metrics.csv")


def config(kind: str = "classes", **changes: Any) -> RunConfig:
    base = RunConfig(Made(kind), MMPareto(), LateFusionCNN(width=2), epochs=2, batch_size=16)
    return replace(base, **changes)


def slow_scores(model: Any, dataset: MadeDataset, kind: str) -> dict[str, float]:
    """Scores by scikit-learn from predictions of single samples."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    with torch.no_grad():
        for index in range(len(dataset)):
            inputs, label = dataset.sample(index)
            if inputs := {m: x[None] for m, x in inputs.items() if m in model.encoders}:
                for name, prediction in model.eval()(inputs).logits.items():
                    found.setdefault(name, []).append((prediction[0], label))
    scores = {}
    for name, pairs in found.items():
        prediction, label = (torch.stack(part) for part in zip(*pairs, strict=True))
        if kind == "classes":
            scores[name] = accuracy_score(label, prediction.argmax(1))
        elif kind == "labels":
            scores[name] = average_precision_score(label, prediction)
        else:
            scores[name] = r2_score(label, 40 + 10 * prediction[:, 0].double())
    return {f"{name}_{METRICS[kind]}": score for name, score in scores.items()}


def epochs(out: Path, column: str) -> list[float]:
    rows = csv.DictReader((out / LOG).read_text().splitlines())
    return [float(row[column]) for row in rows if row[column]]


@pytest.mark.parametrize("kind", METRICS)
def test_scores_are_those_of_whole_parts_over_the_samples_that_have_a_modality(
    kind: str, tmp_path: Path
) -> None:
    metrics = run(config(kind), tmp_path, progress=False)
    _, model = load_run(tmp_path)
    splits = Made(kind).load()
    for part in ("val", "test"):
        slow = slow_scores(model, getattr(splits, part), kind)
        assert list(metrics[part]) == [f"{o}_{METRICS[kind]}" for o in ("joint", *SHAPES)]
        assert metrics[part] == pytest.approx(slow, abs=1e-5)
    seen = epochs(tmp_path, f"val/joint_{METRICS[kind]}")
    assert len(seen) == 2
    assert max(seen) == pytest.approx(metrics["val"][f"joint_{METRICS[kind]}"], abs=1e-6)
    for name in ("joint", *SHAPES):
        assert all(map(math.isfinite, epochs(tmp_path, f"train/{name}_loss")))


def test_samples_that_lack_modalities_are_learned_from(tmp_path: Path) -> None:
    base = config("number", model=LateFusionCNN(width=8), epochs=8)
    metrics = run(
        replace(base, optimizer=replace(base.optimizer, lr=0.005)), tmp_path, progress=False
    )
    assert metrics["test"]["table_r2"] > 0.3
    losses = epochs(tmp_path, "train/joint_loss")
    assert losses[-1] < 0.8 * losses[0]


def test_logged_losses_are_means_over_the_samples_that_have_the_modality(tmp_path: Path) -> None:
    still = replace(
        config(epochs=1, modalities=("table", "text")),
        optimizer=replace(config().optimizer, lr=0.0),
    )
    run(still, tmp_path, progress=False)
    _, model = load_run(tmp_path)  # whose weights never changed, and which has no batch norm
    losses: dict[str, list[Tensor]] = {"joint": [], "table": [], "text": []}
    for index in range(96):  # the batches are of one size: an epoch is a mean over samples
        inputs, label = Made().load().train.sample(index, EpochIndices([index], seed=0, epoch=0))
        if given := {m: x[None] for m, x in inputs.items() if m != "image"}:
            for name, logits in model(given).logits.items():
                losses[name].append(functional.cross_entropy(logits, label[None]))
    assert [len(values) for values in losses.values()] == [80, 64, 48]
    for name, values in losses.items():
        assert epochs(tmp_path, f"train/{name}_loss") == [
            pytest.approx(torch.stack(values).mean().item(), rel=1e-5)
        ]


def test_an_epochs_losses_are_added_up_over_processes() -> None:
    means = MeanLosses(["a", "b"], torch.device("cpu"))
    batch = {"label": torch.zeros(4), "rows": {"a": torch.tensor([1])}}
    means.add({"joint": torch.tensor(1.0), "a": torch.tensor(5.0)}, batch)
    means.add({"joint": torch.tensor(3.0)}, {"label": torch.zeros(12), "rows": {}})
    assert means.means(lambda numbers: numbers) == {"joint": 2.5, "a": 5.0}
    there = torch.tensor([[8.0, 5.0, 2.0], [4.0, 1.0, 4.0]])  # sums and counts of another process
    assert means.means(lambda numbers: numbers + there) == {"joint": 48 / 20, "a": 5.0, "b": 0.5}
    assert MeanLosses(["a"], torch.device("cpu")).means(lambda numbers: numbers) == {}


@pytest.mark.parametrize("rare", [2, 40])
def test_a_modality_alone_is_learned_and_scored_from_the_samples_that_have_it(
    rare: int, tmp_path: Path
) -> None:
    """Of 40 samples one has a text: most batches have none at all."""
    alone = config(data=Made(rare=rare), method=Joint(), modalities=("text",), batch_size=8)
    metrics = run(alone, tmp_path, progress=False)
    _, model = load_run(tmp_path)
    slow = slow_scores(model, Made(rare=rare).load().test, "classes")
    assert metrics["test"] == pytest.approx(slow)


def test_a_modality_that_no_sample_has_scores_nan_and_nothing_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    metrics = run(config(data=Made("labels", rare=1000)), out, progress=False)
    assert math.isnan(metrics["test"]["text_precision"])
    assert 0 < metrics["test"]["table_precision"] <= 1
    assert main(["evaluate", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "mean average precision (%)" in shown
    assert "gives the stored numbers" in shown
    alone = run(
        config(data=Made(rare=1000), method=Joint(), modalities=("text",)),
        tmp_path / "alone",
        progress=False,
    )
    assert math.isnan(alone["val"]["joint_accuracy"])
    assert stored_metrics(tmp_path / "alone") is not None


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_a_comparison_reports_the_score_of_its_target(kind: str, tmp_path: Path) -> None:
    base = config(kind, epochs=1)
    assert (
        compare(base, ["uniform", "ensemble"], 1, tmp_path, jobs=2, listener=lambda *_: None) == []
    )
    title = {"labels": "mean average precision", "number": "R²"}[kind]
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert f"Test {title} on made in percent" in page
    assert f"highest mean joint {title} on" in page
    assert f"joint and unimodal {title}" in page
    assert "accuracy" not in page.replace('id="figure-accuracy"', "")
    found = {
        (r.method, r.metric): r.value
        for r in read_results(tmp_path / "results.csv")
        if r.split == "test"
    }
    for method in ("uniform", "ensemble"):
        assert {m for n, m in found if n == method} == {
            f"{o}_{METRICS[kind]}" for o in ("joint", *SHAPES)
        }

    # The ensemble, sample by sample.
    dataset = base.data.load().test
    models = {m: load_run(tmp_path / "runs" / "ensemble-seed0" / m)[1].eval() for m in SHAPES}
    pairs = []
    for index in range(len(dataset)):
        inputs, label = dataset.sample(index)
        said = [models[m]({m: x[None]}).joint[0].detach().double() for m, x in inputs.items()]
        pairs.append(
            (torch.stack([s.sigmoid() if kind == "labels" else s for s in said]).mean(0), label)
        )
    prediction, label = (torch.stack(part) for part in zip(*pairs, strict=True))
    slow = (
        average_precision_score(label, prediction)
        if kind == "labels"
        else r2_score(label, 40 + 10 * prediction[:, 0])
    )
    assert found["ensemble", f"joint_{METRICS[kind]}"] == pytest.approx(slow, abs=1e-5)


def test_the_ensemble_is_the_mean_over_what_a_sample_has() -> None:
    generator = torch.Generator().manual_seed(0)
    has = {"a": [0, 2, 3], "b": [3, 1, 0]}  # nobody has the last of five samples
    values = {m: torch.randn(3, 3, generator=generator) for m in has}
    label = torch.tensor([0, 1, 2, 0, 1])
    model = ensemble(values, Made().target)
    rows = {m: torch.tensor(own) for m, own in has.items()}
    inputs = {m: torch.zeros(5, 1) for m in has}
    batch = {"inputs": inputs, "label": label, SCORED: label, "rows": rows}
    batch = select_modalities(batch, has)
    collector = Collector(model.encoders, 3)
    collector.add(predicted(model, batch), batch)
    found = collector.result()
    assert found.rows["joint"].tolist() == [0, 1, 2, 3]
    for sample, mean in zip(found.rows["joint"].tolist(), found.values["joint"], strict=True):
        said = [values[m][own.index(sample)].softmax(0) for m, own in has.items() if sample in own]
        torch.testing.assert_close(mean, sum(said) / len(said))


class Says(MultimodalModel):
    """A model of one modality that predicts what it was made with, for samples that have it."""

    def __init__(self, modality: str, values: Tensor) -> None:
        super().__init__()
        self.encoders, self.values = nn.ModuleDict({modality: nn.Identity()}), values

    def forward(self, inputs: Any, rows: Any = None) -> Output:
        ((modality, x),) = inputs.items()
        own = rows.get(modality, torch.arange(len(x)))
        joint = torch.full((len(x), self.values.shape[1]), torch.nan)
        return Output(joint.index_copy(0, own, self.values), {}, {modality: x})


def ensemble(values: dict[str, Tensor], target: Target) -> Ensemble:
    return Ensemble({m: Says(m, said) for m, said in values.items()}, target)


def test_predictions_of_batches_are_put_together_with_the_samples_they_are_of() -> None:
    dataset, collector, outputs = (
        Made().load().test,
        Collector(SHAPES, 1),
        {"joint": 1, "image": 2, "table": 3},
    )
    for start, stop in ((0, 1), (1, 6), (6, 11)):  # the first sample has a table and a text
        chosen = select_modalities(dataset[list(range(start, stop))], ["image", "table"])
        batch = on_device(chosen, Made().target, torch.device("cpu"))
        given = {
            name: torch.arange(float(stop - start)) + start for name in ("joint", *batch["inputs"])
        }
        rows = batch["rows"]
        own = {
            name: values[rows[name]] if name in rows else values for name, values in given.items()
        }
        collector.add(
            {name: (outputs[name] * values)[:, None] for name, values in own.items()}, batch
        )
    found = collector.result()
    for name, factor in outputs.items():
        assert found.values[name][:, 0].tolist() == [
            factor * row for row in found.rows[name].tolist()
        ]
    has = {
        name: [i for i in range(11) if name in dataset.sample(i)[0]] for name in ("image", "table")
    }
    assert {name: found.rows[name].tolist() for name in has} == has
    assert found.rows["joint"].tolist() == sorted({*has["image"], *has["table"]})
    assert found.values["text"].shape == (0, 1)
    assert found.label.equal(dataset[list(range(11))]["label"])


def test_a_batch_of_chosen_modalities() -> None:
    batch = Made().load().train[list(range(6))]
    assert {m: rows.tolist() for m, rows in batch["rows"].items()} == {
        "image": [1, 2, 4, 5], "table": [0, 2, 3, 5], "text": [0, 2, 4],
    }  # fmt: skip
    assert "joint" not in select_modalities(batch, SHAPES)["rows"]
    two = select_modalities(batch, ["text", "image"])
    assert list(two["inputs"]) == ["text", "image"]
    assert two["rows"]["joint"].tolist() == [0, 1, 2, 4, 5]
    assert two["label"].equal(batch["label"])
    none = select_modalities(Made(rare=1000).load().val[[0, 1]], ["text"])
    assert (none["inputs"], none["rows"]) == ({}, {})


def test_models_that_need_whole_samples_say_so(tmp_path: Path) -> None:
    base = config(model=BottleneckTransformer(dim=8), modalities=("image",))
    with pytest.raises(MMParetoError, match=r"lack image, joint\. Use the model late-fusion"):
        run(base, tmp_path, progress=False)


PROCESSES = """
import json, sys
from pathlib import Path
import made_data  # whose recipe the file names
from mmpareto.training import load_config
from mmpareto.training.run import run

metrics = run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
if metrics:
    print("Results", json.dumps(metrics["test"]))
"""


@pytest.mark.parametrize("kind", METRICS)
def test_an_ensemble_takes_a_modality_that_a_whole_part_lacks(kind: str) -> None:
    target = Made(kind).target
    labels = {"classes": torch.arange(3), "labels": torch.ones(3, 3), "number": torch.arange(3.0)}
    said = torch.eye(3)[:, : target.outputs]
    model = ensemble({"image": said, "table": said}, target)
    batch = {"inputs": {"table": torch.zeros(3, 1)}, SCORED: labels[kind], "rows": {}}
    collector = Collector(model.encoders, target.outputs)
    collector.add(predicted(model, batch), batch)
    both = collector.result()
    assert both.values["joint"].equal(target.expectation(said))
    assert both.rows["image"].equal(torch.zeros(0, dtype=torch.int64))


def trained_together(of: RunConfig, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(PROCESSES)
    save_config(of, tmp_path / "given.yaml")
    folders = [str(Path(made_data.__file__).parent), os.environ.get("PYTHONPATH", "")]
    command = [
        sys.executable,
        *(str(tmp_path / name) for name in ("script.py", "given.yaml", "run")),
    ]
    return run_together(command, {"PYTHONPATH": os.pathsep.join(filter(None, folders))})


@pytest.mark.distributed
@pytest.mark.parametrize("modalities", [None, ("text",)], ids=["all", "text"])
def test_a_process_whose_share_lacks_a_modality_keeps_step(modalities: Any, tmp_path: Path) -> None:
    """Of 12 samples one has a text, and a share is of 4: often one process has some and the other
    has none.
    """
    ended = trained_together(
        config(data=Made(rare=12), batch_size=8, devices=2, modalities=modalities), tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    _, model = load_run(tmp_path / "run")
    slow = slow_scores(model, Made(rare=12).load().test, "classes")
    assert json.loads(ended.stdout.partition("Results")[2].splitlines()[0]) == pytest.approx(slow)
    seen = epochs(tmp_path / "run", "train/text_loss")
    assert len(seen) == 2
    assert all(0.5 < loss < 3 for loss in seen)


@pytest.mark.distributed
def test_sharded_parameters_need_all_modalities_in_every_share(tmp_path: Path) -> None:
    ended = trained_together(
        config(data=Made(rare=12), batch_size=8, devices=2, strategy="fsdp"), tmp_path
    )
    assert ended.returncode != 0
    assert "`strategy` should be ddp where the share" in ended.stderr
    assert "Found a share without text" in ended.stderr
