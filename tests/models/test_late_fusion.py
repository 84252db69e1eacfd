"""The late-fusion classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN

SHAPES = {"gray": (1, 8, 8), "colour": (3, 9, 7)}


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {modality: torch.randn(4, *shape) for modality, shape in SHAPES.items()}


def test_heads_read_the_features_they_are_named_after(inputs: dict[str, torch.Tensor]) -> None:
    model = LateFusionCNN(width=3).build(SHAPES, classes=5).eval()
    output = model(inputs)
    assert isinstance(model.joint, nn.Linear)
    for modality, feature in output.features.items():
        assert feature.equal(model.encoders[modality](inputs[modality]))
        assert output.unimodal[modality].equal(model.unimodal[modality](feature))
    assert output.joint.equal(model.joint(torch.cat([output.features["gray"], output.features["colour"]], 1)))
    assert output.logits == {"joint": output.joint, **output.unimodal}


def test_a_unimodal_loss_reaches_its_encoder_and_head_alone(inputs: dict[str, torch.Tensor]) -> None:
    model = LateFusionCNN(width=3).build(SHAPES, classes=5)
    model(inputs).unimodal["gray"].sum().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    own = {name for name, _ in model.named_parameters() if name.startswith(("encoders.gray.", "unimodal.gray."))}
    assert reached == own


def test_one_seed_gives_one_model() -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(7)
        models.append(LateFusionCNN().build(SHAPES, 3).state_dict())
    assert all(value.equal(models[1][name]) for name, value in models[0].items())


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(MMParetoError, match=r"Modality 'text' should be images .* Found \(12,\)"):
        LateFusionCNN().build({"text": (12,)}, 3)
    with pytest.raises(MMParetoError, match=r"Parameter `width` should be positive\. Found 0"):
        LateFusionCNN(width=0)
