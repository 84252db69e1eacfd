"""Losses and scores of targets against others' and against what they are defined as."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, r2_score
from torch import Tensor

from mmpareto.specs import Classes, Labels, Number, Target

CLASSES, LABELS, NUMBER = (
    Classes(("a", "b", "c")),
    Labels(("x", "y", "z", "never")),
    Number("age", mean=40.0, std=12.5),
)
SIZE = 50


def drawn(target: Target) -> tuple[Tensor, Tensor]:
    """Predictions and labels that have something to do with each other."""
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(SIZE, target.outputs, generator=generator)
    noise = torch.randn(SIZE, target.outputs, generator=generator)
    if target is CLASSES:
        return prediction, (prediction + noise).argmax(1)
    if target is LABELS:
        return prediction, (prediction + noise > torch.tensor([0.0, 0.5, -0.5, 99.0])).float()
    return prediction, 40 + 12.5 * (prediction + noise)[:, 0]


every_target = pytest.mark.parametrize(
    "target", [CLASSES, LABELS, NUMBER], ids=lambda target: target.metric
)


def test_losses_are_their_definitions() -> None:
    prediction, label = drawn(CLASSES)
    probabilities = prediction.double().exp() / prediction.double().exp().sum(1, keepdim=True)
    expected = -sum(math.log(probabilities[i, c]) for i, c in enumerate(label.tolist())) / SIZE
    assert CLASSES.loss(prediction, label).item() == pytest.approx(expected, rel=1e-5)

    prediction, label = drawn(LABELS)
    said = 1 / (1 + (-prediction.double()).exp())
    expected = -(label * said.log() + (1 - label) * (1 - said).log()).mean()
    assert LABELS.loss(prediction, label).item() == pytest.approx(expected.item(), rel=1e-5)

    prediction, label = drawn(NUMBER)
    years = 40 + 12.5 * prediction[:, 0].double()
    assert NUMBER.loss(prediction, NUMBER.standardised(label)).item() == pytest.approx(
        ((years - label) ** 2).mean().item() / 12.5**2
    )


def test_scores_are_scikit_learns() -> None:
    prediction, label = drawn(CLASSES)
    assert CLASSES.score(prediction, label) == pytest.approx(
        accuracy_score(label, prediction.argmax(1))
    )
    prediction, label = drawn(LABELS)
    expected = np.mean(
        [average_precision_score(label[:, c], prediction[:, c]) for c in range(3)]
    )  # one never occurs
    assert LABELS.score(prediction, label) == pytest.approx(expected)
    assert 0.5 < expected < 0.95
    prediction, label = drawn(NUMBER)
    years = 40 + 12.5 * prediction[:, 0].double()
    assert NUMBER.score(prediction, label) == pytest.approx(r2_score(label, years), abs=1e-5)


@every_target
def test_a_perfect_prediction_scores_one_and_a_better_one_more(target: Target) -> None:
    prediction, label = drawn(target)
    perfect = {
        CLASSES: lambda: torch.eye(3)[label],
        LABELS: lambda: label,
        NUMBER: lambda: ((label - 40) / 12.5)[:, None],
    }[target]()
    assert target.score(perfect, label) == pytest.approx(1)
    assert (
        target.score(prediction, label)
        < target.score(perfect + 0.2 * (prediction - perfect), label)
        <= 1
    )


@every_target
def test_what_is_to_be_expected_scores_as_the_prediction_does(target: Target) -> None:
    prediction, label = drawn(target)
    assert target.score(target.expectation(prediction), label) == target.score(prediction, label)


def test_expectations_are_probabilities_or_the_number() -> None:
    odds = torch.tensor([[1.0, 3.0, 4.0]])
    torch.testing.assert_close(CLASSES.expectation(odds.log()), odds / 8)
    odds = torch.tensor([[1.0, 3.0, 4.0, 0.25]])
    torch.testing.assert_close(LABELS.expectation(odds.log()), odds / (1 + odds))
    assert NUMBER.expectation(odds[:, :1]).equal(odds[:, :1].double())


@every_target
def test_what_is_not_defined_is_nan_and_no_error(target: Target) -> None:
    prediction, label = drawn(target)
    assert math.isnan(target.score(prediction[:0], label[:0]))
    broken = target.score(prediction * math.nan, label)
    assert target is CLASSES or math.isnan(broken)
    same = torch.zeros_like(label) if target is LABELS else torch.full_like(label, 3)
    assert target is CLASSES or math.isnan(target.score(prediction, same))


def test_numbers_that_differ_by_little_beside_their_size_are_told_apart() -> None:
    label = 1700000000.5 + torch.arange(8, dtype=torch.float64)
    seconds = Number("time", label.mean().item(), label.std(correction=0).item())
    right = (torch.arange(8.0) - 3.5)[:, None] / seconds.std
    wrong = right.flip(0).requires_grad_()
    assert seconds.loss(right, seconds.standardised(label)).item() == pytest.approx(0, abs=1e-12)
    assert seconds.score(right, label) == pytest.approx(1)
    loss = seconds.loss(wrong, seconds.standardised(label))
    assert loss.item() == pytest.approx(4)  # twice as far as the mean is, squared
    assert loss.dtype == torch.float32
    loss.backward()
    assert seconds.score(wrong.detach(), label) == pytest.approx(-3)
    assert math.isnan(seconds.score(right, torch.full_like(label, 0.1)))


@every_target
def test_a_prediction_is_as_wide_as_said(target: Target) -> None:
    assert target.outputs == {"accuracy": 3, "precision": 4, "r2": 1}[target.metric]
