"""Training steps that run alike on one process with the full batch and on several with a share
each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

import mmpareto as mp
from networks import DEFAULTS, WIDTHS, LateFusion, inverse_lengths

MODALITIES = ("audio", "visual", "text")
SIZE = 12  # of the full batch
EVERYTHING = list(range(SIZE))
SHARES = [EVERYTHING[0::2], EVERYTHING[1::2]]
METHODS: dict[str, mp.Method] = {
    **{repr(method): method for method in [*DEFAULTS, mp.MMPareto(granularity="tensor")]},
    "custom": mp.balancing.CustomWeighting(inverse_lengths),
}

Present = Mapping[str, list[int]]
"""For a modality the samples of the full batch that have it; all of them if it is not named."""


class Network(LateFusion):
    """Late fusion whose forward pass gives all logits, as wrappers around a model need it."""

    def __init__(self) -> None:
        super().__init__(*MODALITIES, dtype=torch.float32)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = self.features(batch)
        joint = self.joint(torch.cat(list(features.values()), 1))
        return {
            "joint": joint,
            **{name: self.heads[name](feature) for name, feature in features.items()},
        }


def full_batch(step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(step)
    batch = {name: torch.randn(SIZE, WIDTHS[name], generator=generator) for name in MODALITIES}
    # Noise for labels, and large inputs: objectives disagree.
    return {name: 3 * inputs for name, inputs in batch.items()} | {
        "label": torch.randint(3, (SIZE,), generator=generator)
    }


def losses(
    logits: Mapping[str, Tensor], label: Tensor, samples: list[int], present: Present
) -> dict[str, Tensor]:
    """Sums over the samples that have the modality, divided by the number of samples; without any,
    no loss.
    """
    result = {}
    for name, scores in logits.items():
        mask = torch.tensor([sample in present.get(name, samples) for sample in samples])
        if mask.any():
            each = nn.functional.cross_entropy(scores, label, reduction="none")
            result[name] = (each * mask).sum() / len(samples)
    return result


def measuring(geometry: bool | mp.Geometry) -> mp.Geometry | None:
    if isinstance(geometry, mp.Geometry):
        return geometry
    return mp.Geometry() if geometry else None


Call = Callable[
    [Iterator[dict[str, Tensor]], mp.Partition, mp.Method, bool | mp.Geometry], mp.StepReport
]
"""A way to balance the losses of some micro-batches."""


def each(
    micro: Iterator[dict[str, Tensor]],
    encoders: mp.Partition,
    method: mp.Method,
    geometry: bool | mp.Geometry,
) -> mp.StepReport:
    for objectives in micro:
        report = mp.backward(objectives, encoders, method, geometry=measuring(geometry))
    return report


def once(
    micro: Iterator[dict[str, Tensor]],
    encoders: mp.Partition,
    method: mp.Method,
    geometry: bool | mp.Geometry,
) -> mp.StepReport:
    chosen = measuring(geometry) or mp.Geometry()
    accumulation = mp.Accumulation(encoders, method, geometry=chosen)
    for objectives in micro:
        accumulation.add(objectives)
    return accumulation.backward()


def as_loss(
    micro: Iterator[dict[str, Tensor]],
    encoders: mp.Partition,
    method: mp.Method,
    geometry: bool | mp.Geometry,
) -> mp.StepReport:
    balanced = mp.BalancedLoss(encoders, method, geometry=measuring(geometry))
    for objectives in micro:
        balanced(objectives).backward()
    return balanced.report


CALLS: dict[str, Call] = {"each": each, "once": once, "as-loss": as_loss}


def train(
    model: Network,
    shares: list[list[int]],
    method: mp.Method,
    *,
    call: Call = each,
    geometry: bool | mp.Geometry = True,
    present: Present | None = None,
    wrapped: nn.Module | None = None,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
    steps: int = 3,
) -> dict[str, Any]:
    """Some steps of SGD on shares of the full batch, one after the other: this process's micro-
    batches.

    Returns:
        The trained parameters, and of the last step the cosines and whether any objectives were in
        conflict.
    """
    encoders = mp.Partition(model, **model.encoders)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    conflicts = []

    def micro_batches(batch: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        for samples in shares:
            part = {name: values[samples] for name, values in batch.items()}
            objectives = losses((wrapped or model)(part), part["label"], samples, present or {})
            yield {name: loss / len(shares) for name, loss in objectives.items()}

    for step in range(steps):
        optimizer.zero_grad()
        with context():
            report = call(micro_batches(full_batch(step)), encoders, method, geometry)
        optimizer.step()
        conflicts += [encoder.conflict for encoder in report.values()]
    cosines = {name: encoder.cosine for name, encoder in report.items()}
    norms = {name: encoder.norms for name, encoder in report.items()}
    return {
        "parameters": whole(model),
        "cosines": cosines,
        "norms": norms,
        "conflicts": sum(map(int, conflicts)),
    }


def whole(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, gathered where they are sharded."""
    gathered = {}
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        gathered[name] = value.full_tensor() if hasattr(value, "full_tensor") else value.clone()
    return gathered


def assert_equal(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, parameter in expected["parameters"].items():
        torch.testing.assert_close(got["parameters"][name], parameter, rtol=1e-6, atol=1e-6)
    assert got["cosines"].keys() == expected["cosines"].keys()
    for name, cosine in expected["cosines"].items():
        torch.testing.assert_close(got["cosines"][name], cosine, rtol=1e-5, atol=1e-6)
    assert got["conflicts"] == expected["conflicts"]


def assert_equal_norms(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """A factor of all lengths, which no weight shows, is one here."""
    assert got["norms"].keys() == expected["norms"].keys()
    for name, norms in expected["norms"].items():
        for objective, norm in norms.items():
            torch.testing.assert_close(got["norms"][name][objective], norm, rtol=1e-5, atol=1e-6)


def assert_same_on_all(results: list[dict[str, Any]]) -> None:
    """To the last bit, or the ranks drift apart."""
    for name, parameter in results[0]["parameters"].items():
        assert all(torch.equal(parameter, other["parameters"][name]) for other in results), name
