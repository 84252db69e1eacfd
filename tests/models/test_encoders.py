"""An encoder for every shape of a sample."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from model_cases import CLASSES, RECIPES, build, losses
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.models._resnet import ResNet18
from mmpareto.models._sequence import SequenceEncoder
from mmpareto.models._small_cnn import small_cnn
from mmpareto.models._text import TextEncoder
from mmpareto.specs import Shape, Text

TEXT = Text(length=7, vocabulary=20)
SHAPES: dict[str, Shape] = {
    "image": (3, 9, 7),
    "spectrogram": (1, 40, 70),
    "video": (2, 3, 8, 8),
    "table": (5,),
    "text": TEXT,
}

LIGHT = [recipe for recipe in RECIPES.values() if not recipe.dense]


def sample(shapes: dict[str, Shape], size: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in shapes.items():
        if isinstance(shape, Text):
            made[name] = torch.randint(
                1, shape.vocabulary, (size, shape.length), generator=generator
            )
        else:
            made[name] = torch.randn(size, *shape, generator=generator, dtype=torch.float64)
    return made


@pytest.mark.parametrize("recipe", LIGHT, ids=lambda recipe: recipe.name)
def test_every_shape_has_an_encoder_that_learns(recipe: Any) -> None:
    model = build(recipe, SHAPES, width=2)
    output = model(sample(SHAPES))
    mp.backward(losses(output), mp.Partition(model, **model.encoders), mp.MMPareto())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    alone = build(recipe, SHAPES, width=2).eval()
    one = alone({name: values[:1] for name, values in sample(SHAPES).items()})
    torch.testing.assert_close(one.joint, alone(sample(SHAPES)).joint[:1])


@pytest.mark.parametrize(
    "shape", [(3, 33, 5), (1, 64, 64), (1, 128, 1024), (3, 224, 224), (1, 1, 5000)]
)
def test_features_of_large_images_stay_narrow(shape: tuple[int, ...]) -> None:
    module, width = small_cnn(shape, width=4)
    assert module(torch.zeros(2, *shape)).shape == (2, width)
    assert 4 <= width <= 32 * 64


def test_features_of_a_large_image_are_all_that_is_left_of_it() -> None:
    module, width = small_cnn((1, 40, 40), width=4)
    maps = module.eval()[:-1](torch.randn(2, 1, 40, 40))
    assert maps.shape[2:].numel() <= 64
    assert width == maps[0].numel()


def test_features_of_a_video_are_the_mean_of_those_of_its_frames() -> None:
    model = build(LateFusionCNN, {"video": (2, 3, 8, 8)}, width=2).eval()
    videos = sample({"video": (2, 3, 8, 8)})["video"]
    frames = [model.encoders["video"].encoder(videos[:, :, number]) for number in range(3)]
    torch.testing.assert_close(model({"video": videos}).features["video"], sum(frames) / 3)


def test_tables_do_without_statistics_of_the_batch() -> None:
    model = build(LateFusionCNN, {"table": (5,)})
    assert not [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    assert model.training
    tables = sample({"table": (5,)})
    torch.testing.assert_close(model({"table": tables["table"][:1]}).joint, model(tables).joint[:1])


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing_about_a_text(training: bool) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TEXT, dim=8).double().train(training)
    shorter = TextEncoder(Text(4, 20), dim=8).double().train(training)
    state = encoder.state_dict()
    shorter.load_state_dict(state | {"positions": state["positions"][:, :4]})
    tokens = torch.tensor([[3, 19, 5, 4], [7, 0, 0, 0]])
    torch.testing.assert_close(encoder(nn.functional.pad(tokens, (0, 3))), shorter(tokens))
    assert not torch.allclose(encoder(nn.functional.pad(tokens, (0, 3), value=1)), shorter(tokens))


@pytest.mark.parametrize("training", [True, False])
def test_a_text_of_padding_alone_is_finite_and_teaches_no_token(training: bool) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TEXT, dim=8).train(training)
    none = torch.zeros(2, 7, dtype=torch.int64)
    with torch.no_grad():  # transformer layers have a path of their own for it
        assert encoder(none).isfinite().all()
    features = encoder(none)
    features.square().sum().backward()
    assert features.isfinite().all()
    assert not encoder.embedding.weight.grad.any()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_the_order_of_tokens_counts() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TEXT, dim=8)
    assert not torch.allclose(
        encoder(torch.tensor([[1, 2, 3, 0, 0, 0, 0]])),
        encoder(torch.tensor([[3, 2, 1, 0, 0, 0, 0]])),
    )


def test_resnet18_has_the_parameters_of_resnet18() -> None:
    count = sum(parameter.numel() for parameter in ResNet18(3).parameters())
    assert count == 11_176_512
    assert (
        sum(parameter.numel() for parameter in ResNet18(1).parameters()) == count - 2 * 64 * 7 * 7
    )


def test_resnet18_encodes_images_spectrograms_and_frames() -> None:
    shapes = {"spectrogram": (1, 40, 33), "video": (3, 2, 33, 20), "table": (5,)}
    torch.manual_seed(0)
    model = LateFusionCNN(encoder="resnet18").build(shapes, CLASSES)
    output = model({name: values.float() for name, values in sample(shapes, size=2).items()})
    assert [feature.shape[1] for feature in output.features.values()] == [512, 512, 128]
    assert output.joint.shape == (2, CLASSES)
    one = {name: values[:1].float() for name, values in sample(shapes).items()}
    assert model(one).joint.isfinite().all()  # in training too


@pytest.mark.parametrize(
    ("shape", "encoder", "said"),
    [
        ((2,) * 5, "small", r"'m' should be images or spectrograms .* Found \(2, 2, 2, 2, 2\)"),
        ((0, 5), "small", r"sequences \[length, channels\].* Found \(0, 5\)"),
        ((3, 0, 8, 8), "small", r"Found \(3, 0, 8, 8\)"),
        ((1, 32, 32), "resnet18", r"more than 32 pixels .* Found \(1, 32, 32\)\. Use small"),
    ],
)
def test_shapes_that_no_encoder_takes_are_refused(
    shape: tuple[int, ...], encoder: Any, said: str
) -> None:
    with pytest.raises(MMParetoError, match=said):
        LateFusionCNN(encoder=encoder).build({"m": shape}, CLASSES)


def test_a_sequence_is_known_by_the_mean_of_what_its_places_show() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(channels=3, width=8).double().eval()
    short = torch.randn(2, 20, 3, dtype=torch.float64)
    maps = encoder.layers(short.transpose(1, 2))
    assert maps.shape == (2, 8, 20)
    assert torch.equal(encoder(short), maps.mean(2))
    # A pattern between zeros is the same wherever it stands, but for the ends.
    line = torch.zeros(2, 60, 3, dtype=torch.float64)
    line[0, 15:20], line[1, 30:35] = short[0, :5], short[0, :5]
    first, second = encoder(line)
    assert torch.allclose(first, second, rtol=1e-12)
    assert not torch.allclose(first, encoder(line.flip(1))[0])


def test_resnet18_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MMParetoError, match=r"pip install 'mmpareto\[encoders\]'"):
        LateFusionCNN(encoder="resnet18").build({"m": (3, 64, 64)}, CLASSES)


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in RECIPES.values() if recipe.dense], ids=lambda r: r.name
)
@pytest.mark.parametrize("shape", [(5,), (9, 5), TEXT, (2, 3, 8, 8)], ids=str)
def test_models_with_dense_interaction_take_images_alone(recipe: Any, shape: Shape) -> None:
    with pytest.raises(
        MMParetoError, match=r"Modality 'm' should be images \[channels, height, width\]"
    ):
        recipe().build({"m": shape}, CLASSES)
