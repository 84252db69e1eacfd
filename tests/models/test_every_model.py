"""What holds for every model of the catalogue."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from model_cases import CLASSES, RECIPES, SHAPES, build, every_recipe, images, losses
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel

SIZES = [(1, 8, 8), (3, 9, 7), (2, 1, 5), (1, 4, 6), (4, 3, 3), (1, 2, 2), (2, 7, 1), (3, 5, 4)]


def many(number: int) -> dict[str, tuple[int, ...]]:
    return {f"m{i}": SIZES[i % len(SIZES)] for i in range(number)}


def gradients(model: nn.Module, *of: Tensor) -> dict[str, Tensor | None]:
    """Gradient of a sum by parameter name; None where it does not reach."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(sum(of), parameters, retain_graph=True, allow_unused=True)
    return dict(zip(names, found, strict=True))


def reached(model: nn.Module, loss: Tensor) -> set[str]:
    """The encoders that a loss reaches."""
    return {
        name.split(".")[1]
        for name, g in gradients(model, loss).items()
        if g is not None and "encoders." in name
    }


@every_recipe
@pytest.mark.parametrize("number", [1, 3, 8])
def test_any_number_of_modalities_of_any_size(recipe: Any, number: int) -> None:
    model = build(recipe, many(number))
    assert isinstance(model, MultimodalModel)
    assert list(model.encoders) == list(many(number))
    output = model(images(many(number)))
    assert list(output.logits) == ["joint", *many(number)]
    assert all(logits.shape == (4, CLASSES) for logits in output.logits.values())
    assert list(output.features) == list(many(number))
    found = gradients(model, *losses(output).values())
    assert [
        name for name, g in found.items() if g is None or not g.any() or not g.isfinite().all()
    ] == []


@every_recipe
def test_thirty_two_modalities(recipe: Any) -> None:
    shapes = {f"m{i}": (1, 2, 3) for i in range(32)}
    assert len(build(recipe, shapes)(images(shapes)).unimodal) == 32


@every_recipe
def test_one_seed_gives_one_model(recipe: Any) -> None:
    first, same, other = (build(recipe, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(value.equal(same[name]) for name, value in first.items())
    assert not all(value.equal(other[name]) for name, value in first.items())


@every_recipe
@pytest.mark.parametrize("size", [1, 2, 5])
def test_any_batch_size(recipe: Any, size: int) -> None:
    model, batch = build(recipe), images(size=5)
    assert model({m: values[:size] for m, values in batch.items()}).joint.shape == (size, CLASSES)
    model.eval()
    part, whole = model({m: values[:size] for m, values in batch.items()}), model(batch)
    for name, logits in part.logits.items():
        torch.testing.assert_close(logits, whole.logits[name][:size])


@every_recipe
@pytest.mark.parametrize("loss", SHAPES)
def test_which_encoders_a_unimodal_loss_reaches(recipe: Any, loss: str) -> None:
    model = build(recipe)
    output = model(images())
    assert reached(model, losses(output)[loss]) == (set(SHAPES) if recipe.dense else {loss})
    assert reached(model, losses(output)["joint"]) == set(SHAPES)


@every_recipe
@pytest.mark.parametrize("modality", SHAPES)
def test_whether_a_unimodal_prediction_depends_on_the_other_modality(
    recipe: Any, modality: str
) -> None:
    model = build(recipe).eval()
    (other,) = set(SHAPES) - {modality}
    before, after = model(images()), model(images() | {other: images(seed=1)[other]})
    assert before.unimodal[modality].equal(after.unimodal[modality]) != recipe.dense
    assert not before.joint.equal(after.joint)


@every_recipe
@pytest.mark.parametrize("present", SHAPES)
def test_missing_modality(recipe: Any, present: str) -> None:
    model = build(recipe)
    output = model({present: images()[present]})
    assert set(output.unimodal) == set(output.features) == {present}
    assert output.joint.shape == (4, CLASSES)
    assert reached(model, output.joint.sum()) == {present}
    mp.backward(losses(output), mp.Partition(model, **model.encoders), mp.MMPareto())
    for modality, encoder in model.encoders.items():
        assert all((p.grad is not None) == (modality == present) for p in encoder.parameters())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@every_recipe
def test_inputs_are_told_apart_by_name(recipe: Any) -> None:
    model, batch = build(recipe).eval(), images()
    ordered, reversed_ = model(batch), model(dict(reversed(batch.items())))
    assert list(ordered.logits) == list(reversed_.logits)
    assert all(logits.equal(reversed_.logits[name]) for name, logits in ordered.logits.items())


@every_recipe
def test_inputs_without_an_encoder_are_passed_over(recipe: Any) -> None:
    model = build(recipe, {"gray": SHAPES["gray"]}).eval()
    assert model(images()).joint.equal(model({"gray": images()["gray"]}).joint)
    for none in ({}, {"colour": images()["colour"]}):
        with pytest.raises(
            MMParetoError, match=r"should have at least one of \('gray',\) as a key\. Found \("
        ):
            model(none)


@every_recipe
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_depth_is_the_number_of_linear_layers_of_every_head(recipe: Any, depth: int) -> None:
    model = build(recipe, depth=depth)
    for head in (model.joint, *model.unimodal.values()):
        assert sum(isinstance(layer, nn.Linear) for layer in head.modules()) == depth
    output = model(images())
    assert all(logits.shape == (4, CLASSES) for logits in output.logits.values())
    assert all(g is not None for g in gradients(model, *losses(output).values()).values())


@pytest.mark.parametrize(
    ("recipe", "setting"),
    [(recipe, field.name) for recipe in RECIPES.values() for field in fields(recipe)],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_settings_out_of_range_are_refused(recipe: Any, setting: str, value: float) -> None:
    with pytest.raises(MMParetoError, match=rf"Parameter `{setting}` should be .* Found {value}\."):
        recipe(**{setting: value})


@every_recipe
@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({}, "at least one modality"),
        ({"text": (1, 2, 3, 4, 5)}, r"Modality 'text' should be images .* Found \(1, 2, 3, 4, 5\)"),
        ({"gray": (1, 0, 8)}, r"Modality 'gray' should be images .* Found \(1, 0, 8\)"),
        ({"joint": (1, 8, 8)}, "Found 'joint'"),
        ({"left.eye": (1, 8, 8)}, r"Found 'left\.eye'"),
        ({"keys": (1, 8, 8)}, "Found 'keys'"),
    ],
)
def test_modalities_that_cannot_be_are_refused(
    recipe: Any, shapes: dict[str, tuple[int, ...]], said: str
) -> None:
    with pytest.raises(MMParetoError, match=said):
        recipe().build(shapes, CLASSES)


@every_recipe
@pytest.mark.parametrize(
    "present", [("gray", "colour", "extra"), ("gray", "extra"), ("gray",)], ids=len
)
def test_balanced_step(recipe: Any, present: tuple[str, ...]) -> None:
    """Encoders receive the applied combination of all objectives that reach them, the rest their
    plain sum.
    """
    shapes = SHAPES | {"extra": (2, 5, 6)}
    model, batch = build(recipe, shapes), images(shapes)
    objectives = losses(model({modality: batch[modality] for modality in present}))
    single = {name: gradients(model, loss) for name, loss in objectives.items()}
    report = mp.backward(objectives, mp.Partition(model, **model.encoders), mp.MMPareto(gamma=1.3))
    for modality in present:
        assert set(report[modality].objectives) == (
            set(objectives) if recipe.dense else {"joint", modality}
        )
    for name, parameter in model.named_parameters():
        weights = dict.fromkeys(objectives, 1.0)
        if name.startswith("encoders.") and (modality := name.split(".")[1]) in present:
            weights = dict(zip(report[modality].objectives, report[modality].applied, strict=True))
        terms = [weights[o] * single[o][name] for o in objectives if single[o][name] is not None]
        assert (parameter.grad is None) == (not terms)
        if terms:
            torch.testing.assert_close(parameter.grad, sum(terms))
