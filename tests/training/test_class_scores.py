"""What predictions are worth class by class, against scikit-learn; and without a modality."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_data import Made
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mmpareto.balancing import Uniform
from mmpareto.cli import main
from mmpareto.models import LateFusionCNN
from mmpareto.specs import Classes, Labels, Number, Target
from mmpareto.training import (
    Predictions,
    RunConfig,
    class_scores,
    confusion,
    contributions,
    guess_score,
    predict,
)
from mmpareto.training.run import run


def drawn(target: Target, label: torch.Tensor) -> Predictions:
    """Predictions of every second sample."""
    rows = torch.arange(0, len(label), 2)
    values = torch.randn(len(rows), target.outputs, generator=torch.Generator().manual_seed(1))
    return Predictions({"joint": values}, {"joint": rows}, label)


def check(scores: list, truth: torch.Tensor, predicted: torch.Tensor) -> None:
    expected = precision_recall_fscore_support(truth, predicted, zero_division=math.nan)
    for place, score in enumerate(scores):
        found = (score.precision, score.recall, score.f1, score.support)
        assert found == pytest.approx([row[place] for row in expected], nan_ok=True)


def test_classes_are_scored_as_by_scikit_learn() -> None:
    target = Classes(("a", "b", "c", "d"))
    label = torch.randint(0, 4, (60,), generator=torch.Generator().manual_seed(0))
    predictions = drawn(target, label)
    truth, predicted = label[::2], predictions.values["joint"].argmax(1)
    scores = class_scores(predictions, target)
    assert [score.name for score in scores] == list(target.names)
    check(scores, truth, predicted)
    matrix = confusion_matrix(truth, predicted, labels=range(4))
    assert confusion(predictions, target).tolist() == matrix.tolist()


def test_several_labels_are_scored_as_by_scikit_learn() -> None:
    target = Labels(("a", "b", "c"))
    label = torch.randint(0, 2, (60, 3), generator=torch.Generator().manual_seed(0)).float()
    label[:, 2] = 0
    predictions = drawn(target, label)
    predictions.values["joint"][:, 2] = -1
    scores = class_scores(predictions, target)
    check(scores[:2], label[::2, :2], predictions.values["joint"][:, :2] >= 0)
    assert math.isnan(scores[2].f1)
    assert scores[2].support == 0
    assert class_scores(drawn(Number("age"), torch.ones(4)), Number("age")) == []


def test_guessing_scores_what_its_target_says() -> None:
    train, test = torch.tensor([2, 2, 0]), torch.tensor([2, 1, 0, 2])
    assert guess_score(Classes(("a", "b", "c")), train, test) == 0.5
    target = Number("age", mean=3.0)
    assert guess_score(target, torch.tensor([2.0, 4.0]), torch.tensor([2.0, 4.0])) == 0
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert guess_score(Labels(("a", "b")), labels, labels) == 0.5


@pytest.mark.parametrize("kind", ["classes", "number"])
def test_the_command_says_what_each_modality_adds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    config = RunConfig(Made(kind), Uniform(), LateFusionCNN(width=4), epochs=1)
    run(config, tmp_path, progress=False)
    assert main(["evaluate", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert ("by class" in said) == ("what is predicted" in said) == (kind == "classes")
    assert all(part in said for part in ("it adds", "Without any input", "gives the stored"))


def test_a_modality_adds_what_its_absence_takes() -> None:
    torch.manual_seed(0)
    config = RunConfig(Made(rare=3), Uniform(), LateFusionCNN(width=4))
    model, test = config.model.build(config.shapes, 3), config.data.load().test
    target = config.data.target
    complete = predict(model, test, config)
    for part in contributions(complete, model, test, config):
        others = tuple(name for name in config.shapes if name != part.modality)
        hits, hits_without, count = 0, 0, 0
        for number in range(len(test)):
            batch = test[[number]]
            kept = {name: batch["inputs"][name] for name in others if name in batch["inputs"]}
            if kept:
                with torch.no_grad():
                    outputs = model(batch["inputs"]).joint, model(kept).joint
                hits += target.score(outputs[0], batch["label"])
                hits_without += target.score(outputs[1], batch["label"])
                count += 1
        found = (part.count, part.with_it * count, part.without_it * count)
        assert found == pytest.approx((count, hits, hits_without))
    alone = replace(config, modalities=("table",))
    assert list(contributions(complete, model, test, alone)) == []
