"""Batches in which some samples lack a modality, against a slow loop over the samples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model_cases import CLASSES, RECIPES, build
from torch import Tensor, nn
from torch.nn import functional

import mmpareto as mp
from mmpareto.errors import MMParetoError
from mmpareto.models import Output
from mmpareto.specs import Shape

SHAPES: dict[str, Shape] = {"gray": (1, 8, 8), "colour": (3, 9, 7), "table": (4,)}
SIZE = 6
HAS = {
    "gray": [0, 1, 3, 4],
    "colour": [1, 2, 4],
    "table": [0, 1, 2, 3, 4, 5],
}  # all have the last one
ROWS = {m: torch.tensor(rows) for m, rows in HAS.items() if len(rows) < SIZE}
LABEL = torch.arange(SIZE) % CLASSES

light = pytest.mark.parametrize(
    "recipe", [r for r in RECIPES.values() if not r.dense], ids=lambda r: r.name
)


def inputs(filler: float = 0.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {
        m: torch.randn(SIZE, *shape, generator=generator, dtype=torch.float64)
        for m, shape in SHAPES.items()
    }
    for m, values in made.items():
        values[[i for i in range(SIZE) if i not in HAS[m]]] = filler
    return made


def losses(output: Output) -> dict[str, Tensor]:
    return {
        name: functional.cross_entropy(logits, LABEL[ROWS[name]] if name in ROWS else LABEL)
        for name, logits in output.logits.items()
    }


def one_by_one(model: nn.Module) -> list[Output]:
    """Each sample as a batch of its own, which lacks what the sample lacks."""
    return [
        model({m: values[[i]] for m, values in inputs().items() if i in HAS[m]})
        for i in range(SIZE)
    ]


@light
def test_samples_are_predicted_as_in_batches_that_lack_what_they_lack(recipe: Any) -> None:
    model = build(recipe, SHAPES).eval()
    output, alone = model(inputs(), ROWS), one_by_one(model)
    torch.testing.assert_close(output.joint, torch.cat([one.joint for one in alone]))
    for m in SHAPES:
        torch.testing.assert_close(
            output.unimodal[m], torch.cat([alone[i].unimodal[m] for i in HAS[m]])
        )
        torch.testing.assert_close(
            output.features[m][HAS[m]], torch.cat([alone[i].features[m] for i in HAS[m]])
        )
        assert not output.features[m][[i for i in range(SIZE) if i not in HAS[m]]].any()


@light
def test_gradients_are_those_of_the_loop(recipe: Any) -> None:
    model = build(recipe, SHAPES).eval()
    single: dict[str, list[Tensor]] = {}
    for i, output in enumerate(one_by_one(model)):
        for name, logits in output.logits.items():
            single.setdefault(name, []).append(functional.cross_entropy(logits, LABEL[[i]]))
    parameters = list(model.parameters())
    for name, loss in losses(model(inputs(), ROWS)).items():
        slow = torch.stack(single[name]).mean()
        torch.testing.assert_close(loss, slow)
        found = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        expected = torch.autograd.grad(
            slow, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close(found, expected)


@light
def test_what_stands_in_for_a_missing_input_has_no_effect_in_training(recipe: Any) -> None:
    """On predictions, gradients, and the statistics of batch norm."""
    reports, models = [], []
    for filler in (0.0, float("nan")):
        model, batch = build(recipe, SHAPES), inputs(filler)
        for values in batch.values():
            values.requires_grad_()
        found = losses(model(batch, ROWS))
        torch.stack(list(found.values())).sum().backward(retain_graph=True)
        for m, rows in HAS.items():
            gradient = batch[m].grad
            assert gradient is not None
            assert not gradient[[i for i in range(SIZE) if i not in rows]].any()
            assert gradient[rows].any()
        model.zero_grad()
        reports.append(mp.backward(found, mp.Partition(model, **model.encoders), mp.MMPareto()))
        models.append(model)
    for ours, theirs in zip(
        *(dict(model.named_parameters()).values() for model in models), strict=True
    ):
        assert ours.grad.isfinite().all()
        assert ours.grad.equal(theirs.grad)
    for ours, theirs in zip(
        *(dict(model.named_buffers()).values() for model in models), strict=True
    ):
        assert ours.equal(theirs)
    assert all(set(report[m].objectives) == {"joint", m} for report in reports for m in SHAPES)


@light
def test_batch_norm_sees_only_what_is_there(recipe: Any) -> None:
    model, other = build(recipe, SHAPES), build(recipe, SHAPES)
    model(inputs(), ROWS)
    other({"gray": inputs()["gray"][HAS["gray"]]})
    means = [m.encoders["gray"][1].running_mean for m in (model, other)]
    assert means[0].any()
    assert means[0].equal(means[1])


@light
def test_a_modality_may_be_there_for_all_or_for_none(recipe: Any) -> None:
    model = build(recipe, SHAPES).eval()
    whole = {m: values for m, values in inputs().items() if m != "colour"}
    some = {"gray": ROWS["gray"]}
    output = model(whole, some)
    assert set(output.unimodal) == {"gray", "table"}
    everything = {m: torch.arange(SIZE) for m in SHAPES}
    torch.testing.assert_close(model(inputs(), everything).joint, model(inputs()).joint)
    # Of a sample without any modality of the model there is a prediction from nothing, finite and
    # always the same.
    alone = build(recipe, {"gray": SHAPES["gray"]}).eval()({"gray": inputs()["gray"]}, some)
    assert alone.joint[2].equal(alone.joint[5])
    assert alone.joint.isfinite().all()


@pytest.mark.parametrize("recipe", [r for r in RECIPES.values() if r.dense], ids=lambda r: r.name)
def test_models_with_dense_interaction_refuse(recipe: Any) -> None:
    shapes = {m: shape for m, shape in SHAPES.items() if m != "table"}
    batch = {m: values for m, values in inputs().items() if m in shapes}
    with pytest.raises(
        MMParetoError,
        match=r"`rows` should be None .* lack gray, colour\. Use the model late-fusion",
    ):
        build(recipe, shapes)(batch, ROWS)
    assert build(recipe, shapes)(batch, {}).joint.shape == (SIZE, CLASSES)
