"""The late-fusion classifier."""

from __future__ import annotations

import pytest
import torch
from model_cases import SHAPES, images
from torch import nn

from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusion, LateFusionCNN, Sum, SumFusionCNN


def test_heads_read_the_features_they_are_named_after() -> None:
    model, inputs = LateFusionCNN(width=3).build(SHAPES, classes=5).double().eval(), images()
    output = model(inputs)
    assert isinstance(model.joint, nn.Linear)
    for modality, feature in output.features.items():
        assert feature.equal(model.encoders[modality](inputs[modality]))
        assert output.unimodal[modality].equal(model.unimodal[modality](feature))
    assert output.joint.equal(
        model.joint(torch.cat([output.features["gray"], output.features["colour"]], 1))
    )
    assert output.logits == {"joint": output.joint, **output.unimodal}


def test_a_unimodal_loss_reaches_its_encoder_and_head_alone() -> None:
    model = LateFusionCNN(width=3).build(SHAPES, classes=5).double()
    model(images()).unimodal["gray"].sum().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    own = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("encoders.gray.", "unimodal.gray."))
    }
    assert reached == own


def test_default_weights_are_drawn_in_this_order() -> None:
    """Encoder by encoder, then the joint head, then the others: a seed's model is the one it always
    was.
    """
    torch.manual_seed(7)
    model = LateFusionCNN(width=4).build({"gray": (1, 8, 8), "colour": (3, 8, 8)}, 3)
    torch.manual_seed(7)
    expected = {}
    for modality, channels in (("gray", 1), ("colour", 3)):
        for number, inputs, outputs in ((0, channels, 4), (3, 4, 8), (6, 8, 8)):
            name = f"encoders.{modality}.{number}"
            expected[f"{name}.weight"] = nn.Conv2d(inputs, outputs, 3, bias=False).weight
            expected[f"encoders.{modality}.{number + 1}.weight"] = torch.ones(outputs)
            expected[f"encoders.{modality}.{number + 1}.bias"] = torch.zeros(outputs)
    for name, inputs in (("joint", 256), ("unimodal.gray", 128), ("unimodal.colour", 128)):
        layer = nn.Linear(inputs, 3)
        expected |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    found = dict(model.named_parameters())
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_ones_own_encoders_with_a_fusion() -> None:
    widths = {"text": 4, "audio": 3}
    encoders = {"text": nn.Linear(12, 4), "audio": nn.Identity()}
    model = LateFusion(encoders, widths, classes=2, fusion=Sum(widths, dim=5), depth=2)
    output = model({"text": torch.ones(6, 12), "audio": torch.ones(6, 3)})
    assert output.joint.shape == (6, 2)
    with pytest.raises(
        MMParetoError, match=r"Parameter `depth` should be a positive whole number\. Found 0\."
    ):
        LateFusion(encoders, widths, classes=2, depth=0)
    with pytest.raises(MMParetoError, match="Found 'type'"):
        LateFusion({"type": nn.Identity()}, {"type": 1}, classes=2)


def test_a_linear_head_on_a_sum_is_one_on_the_concatenation() -> None:
    model = SumFusionCNN(width=2).build(SHAPES, 5).double().eval()
    output = model(images())
    weights = [model.joint.weight @ model.fusion.projections[m].weight for m in SHAPES]
    bias = model.joint.bias + model.joint.weight @ sum(
        model.fusion.projections[m].bias for m in SHAPES
    )
    expected = torch.cat(list(output.features.values()), 1) @ torch.cat(weights, 1).T + bias
    torch.testing.assert_close(output.joint, expected)
