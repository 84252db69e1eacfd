"""Fusions and exchanges against their equations, sample by sample and number by number."""

from __future__ import annotations

from itertools import chain
from math import erf, exp, sqrt, tanh
from typing import Any

import pytest
import torch
from model_cases import SHAPES, build, images
from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models import (
    MMTM,
    MMTMCNN,
    BottleneckFusion,
    BottleneckTransformer,
    Concatenation,
    Exchange,
    FiLM,
    Gated,
    Sum,
    TokenEncoder,
)

WIDTHS = {"a": 2, "b": 3, "c": 4}
DIM = 3

subsets = pytest.mark.parametrize("present", ["a", "b", "ac", "ca", "abc"])
Vector = list[float]


def features(present: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = {
        m: torch.randn(5, width, generator=generator, dtype=torch.float64)
        for m, width in WIDTHS.items()
    }
    return {m: drawn[m] for m in present}


def affine(layer: Any, x: Vector) -> Vector:
    rows, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        sum(w * v for w, v in zip(row, x, strict=True)) + b
        for row, b in zip(rows, bias, strict=True)
    ]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def side_by_side(values: dict[str, Vector], widths: dict[str, int]) -> Vector:
    return list(chain.from_iterable(values.get(m, [0.0] * width) for m, width in widths.items()))


def by_sample(values: dict[str, Tensor]) -> list[dict[str, Vector]]:
    return [{m: x[i].tolist() for m, x in values.items()} for i in range(5)]


def close(found: Tensor, expected: list[Any]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@subsets
def test_concatenation(present: str) -> None:
    values = features(present)
    expected = [side_by_side(x, WIDTHS) for x in by_sample(values)]
    close(Concatenation(WIDTHS)(values), expected)


@subsets
def test_sum(present: str) -> None:
    fusion, values = Sum(WIDTHS, DIM).double(), features(present)
    expected = []
    for x in by_sample(values):
        projected = [affine(fusion.projections[m], x[m]) for m in present]
        expected.append([sum(p[i] for p in projected) for i in range(DIM)])
    close(fusion(values), expected)


@subsets
def test_film(present: str) -> None:
    fusion, values = FiLM(WIDTHS, DIM).double(), features(present)
    expected = []
    for x in by_sample(values):
        p = {m: affine(fusion.projections[m], x[m]) for m in present}
        fused = [0.0] * DIM
        for m in present:
            others = [p[o] for o in present if o != m]
            delta, beta = [0.0] * DIM, [0.0] * DIM
            if others:
                mean = [sum(o[i] for o in others) / len(others) for i in range(DIM)]
                condition = affine(fusion.conditioners[m], mean)
                delta, beta = condition[:DIM], condition[DIM:]
            fused = [
                f + (1 + d) * v + b for f, d, v, b in zip(fused, delta, p[m], beta, strict=True)
            ]
        expected.append(fused)
    close(fusion(values), expected)


@subsets
def test_gated(present: str) -> None:
    fusion, values = Gated(WIDTHS, DIM).double(), features(present)
    expected = []
    for x in by_sample(values):
        p = {m: affine(fusion.projections[m], x[m]) for m in present}
        read = side_by_side(p, dict.fromkeys(WIDTHS, DIM))
        gates = {m: [sigmoid(v) for v in affine(fusion.gates[m], read)] for m in present}
        expected.append([sum(gates[m][i] * tanh(p[m][i]) for m in present) for i in range(DIM)])
    close(fusion(values), expected)


@subsets
def test_exchange(present: str) -> None:
    exchange = Exchange(WIDTHS, reduction=2).double()
    generator = torch.Generator().manual_seed(1)
    space = {"a": (4, 5), "b": (7,), "c": (1, 2, 3)}  # maps of an image, of a sequence, of a video
    maps = {
        m: torch.randn(5, WIDTHS[m], *space[m], generator=generator, dtype=torch.float64)
        for m in present
    }
    found = exchange(maps)
    assert set(found) == set(present)
    assert exchange.squeeze.out_features == 4
    for i in range(5):
        means = side_by_side(
            {m: [channel.mean().item() for channel in maps[m][i]] for m in present}, WIDTHS
        )
        z = [max(0.0, v) for v in affine(exchange.squeeze, means)]
        for m in present:
            gates = [2 * sigmoid(v) for v in affine(exchange.excite[m], z)]
            for channel, gate in enumerate(gates):
                torch.testing.assert_close(found[m][i, channel], gate * maps[m][i, channel])


def test_mmtm_exchanges_between_stages() -> None:
    model, batch = build(MMTMCNN, width=3).eval(), images()
    maps = {m: model.encoders[m][0](batch[m]) for m in SHAPES}
    maps = {m: model.encoders[m][1](x) for m, x in model.exchanges[0](maps).items()}
    maps = {m: model.encoders[m][2](x) for m, x in model.exchanges[1](maps).items()}
    output = model(batch)
    for m in SHAPES:
        assert output.features[m].equal(maps[m].flatten(1))
        assert output.unimodal[m].equal(model.unimodal[m](maps[m].flatten(1)))
    assert output.joint.equal(model.joint(torch.cat([maps[m].flatten(1) for m in SHAPES], 1)))


def test_stages_and_exchanges_fit() -> None:
    encoders = {"a": nn.Sequential(nn.Identity(), nn.Identity()), "b": nn.Sequential(nn.Identity())}
    with pytest.raises(MMParetoError, match=r"Encoder 'b' should have .* 2 in all\. Found 1\."):
        MMTM(encoders, [Exchange({"a": 1, "b": 1})], {"a": 1, "b": 1}, classes=2)


def tokens_of(encoder: Any, image: Tensor, patch: int) -> Tensor:
    """First token and patches [1 + patches, dim] of an image, pixel by pixel, zero outside it."""
    weight, bias = encoder.patches[1].weight, encoder.patches[1].bias
    channels, height, width = image.shape
    rows = [encoder.summary[0, 0]]
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            token = bias.clone()
            for y in range(top, min(top + patch, height)):
                for x in range(left, min(left + patch, width)):
                    for channel in range(channels):
                        token = token + image[channel, y, x] * weight[:, channel, y - top, x - left]
            rows.append(token)
    return torch.stack(rows) + encoder.positions[0]


def normalized(layer: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight
        + layer.bias
    )


def transformed(layer: Any, x: Tensor, heads: int) -> Tensor:
    """One pre-norm transformer layer on the tokens [tokens, dim] of one sample, head by head."""
    attention = layer.self_attn
    query, key, value = (
        normalized(layer.norm1, x) @ attention.in_proj_weight.T + attention.in_proj_bias
    ).chunk(3, -1)
    size, mixed = x.shape[1] // heads, []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = (query[:, part] @ key[:, part].T / sqrt(size)).exp()
        mixed.append(scores / scores.sum(-1, keepdim=True) @ value[:, part])
    x = x + torch.cat(mixed, -1) @ attention.out_proj.weight.T + attention.out_proj.bias
    hidden = normalized(layer.norm2, x) @ layer.linear1.weight.T + layer.linear1.bias
    hidden = (
        hidden
        * (1 + torch.tensor([[erf(v / sqrt(2)) for v in row] for row in hidden.tolist()]).double())
        / 2
    )
    return x + hidden @ layer.linear2.weight.T + layer.linear2.bias


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("present", [["gray"], ["colour"], ["gray", "colour"]], ids="+".join)
@pytest.mark.parametrize(("layers", "fusion_layers", "patch"), [(3, 2, 4), (3, 3, 2), (2, 2, 3)])
def test_bottleneck(
    layers: int, fusion_layers: int, patch: int, present: list[str], training: bool
) -> None:
    settings = {"layers": layers, "fusion_layers": fusion_layers, "patch": patch}
    model, batch = (
        build(BottleneckTransformer, dim=6, heads=2, tokens=3, **settings).train(training),
        images(size=2),
    )
    for parameter in model.parameters():  # what starts at zero or one would hide mistakes
        parameter.add_(
            0.1
            * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
            )
        )
    output = model({m: batch[m] for m in present})
    for i in range(2):
        tokens = {m: tokens_of(model.encoders[m], batch[m][i], patch) for m in present}
        shared = model.tokens[0]
        for number in range(layers):
            if number < layers - fusion_layers:
                tokens = {
                    m: transformed(model.encoders[m].layers[number], tokens[m], 2) for m in present
                }
                continue
            made = {}
            for m in present:
                own = len(tokens[m])
                seen = transformed(
                    model.encoders[m].layers[number], torch.cat([tokens[m], shared]), 2
                )
                tokens[m], made[m] = seen[:own], seen[own:]
            shared = sum(made.values()) / len(present)
        summaries = {m: normalized(model.encoders[m].norm, tokens[m][0]) for m in present}
        for m in present:
            torch.testing.assert_close(output.features[m][i], summaries[m])
            torch.testing.assert_close(output.unimodal[m][i], model.unimodal[m](summaries[m]))
        torch.testing.assert_close(
            output.joint[i], sum(model.joint(s) for s in summaries.values()) / len(present)
        )


def test_bottleneck_settings_fit_each_other() -> None:
    with pytest.raises(MMParetoError, match=r"`heads` should divide `dim`, 64\. Found 5\."):
        BottleneckTransformer(heads=5)
    with pytest.raises(
        MMParetoError, match=r"`fusion_layers` should be from 2, .* layers, 3\. Found 4\."
    ):
        BottleneckTransformer(fusion_layers=4)
    with pytest.raises(
        MMParetoError, match=r"`fusion_layers` should be from 2, .* layers, 3\. Found 1\."
    ):
        BottleneckTransformer(fusion_layers=1)
    encoders = {f"m{n}": TokenEncoder((1, 4, 4), dim=4, heads=1, layers=n, patch=2) for n in (2, 3)}
    with pytest.raises(MMParetoError, match=r"equally many layers\. Found {'m2': 2, 'm3': 3}"):
        BottleneckFusion(encoders, dim=4, classes=2)
