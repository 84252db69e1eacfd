"""A user's own LightningModule equals a plain loop of `mp.backward`, whatever the trainer does to
the loss.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import SIZE, Network, full_batch, losses

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings(
        "ignore:.*LeafSpec.* is deprecated"
    ),  # Lightning 2.6 under torch 2.13
]

STEPS = 6
EVERYTHING = list(range(SIZE))
Trajectory = list[dict[str, Tensor]]
"""The parameters after each batch."""


@dataclass(frozen=True)
class Case:
    """What a user asks of the trainer."""

    accumulate: int = 1
    clip: float | None = None
    precision: str = "32-true"
    manual: bool = False
    method: mp.Method = mp.MMPareto(gamma=2.0)  # noqa: RUF009 - frozen


CASES = {
    "automatic": Case(),
    "accumulated": Case(accumulate=2),
    "clipped": Case(clip=0.05),
    "accumulated-clipped": Case(accumulate=3, clip=0.05),
    "bf16": Case(precision="bf16-mixed"),
    "fp16-scaled-clipped": Case(precision="16-mixed", clip=0.05),
    "no-geometry": Case(method=mp.Uniform()),
    "manual": Case(manual=True),
}


class Balanced(lightning.LightningModule):
    """Automatic optimization: three lines more than without this library."""

    def __init__(self, case: Case, samples: Sequence[int]) -> None:
        super().__init__()
        self.network, self.samples, self.trajectory, self.conflicts = (
            Network(),
            list(samples),
            Trajectory(),
            0,
        )
        self.encoders = mp.Partition(self.network, **self.network.encoders)
        self.balanced = mp.BalancedLoss(
            self.encoders,
            case.method,
            geometry=None if case.method == mp.Uniform() else mp.Geometry(),
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self.network)

    def losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return losses(self.network(batch), batch["label"], self.samples, {})

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor | None:
        return self.balanced(self.losses(batch))

    def on_train_batch_end(self, *_: object) -> None:
        self.trajectory.append(snapshot(self.network))
        self.conflicts += sum(int(encoder.conflict) for encoder in self.balanced.report.values())


class Manual(Balanced):
    """Manual optimization."""

    def __init__(self, case: Case, samples: Sequence[int]) -> None:
        super().__init__(case, samples)
        self.automatic_optimization = False

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.balanced.report = mp.backward(self.losses(batch), self.encoders, self.balanced.method)
        optimizer.step()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=2.0**8)


def train(case: Case, samples: Sequence[int] = EVERYTHING, **settings: Any) -> Balanced:
    """Lightning's way."""
    fp16 = case.precision == "16-mixed"
    module = (Manual if case.manual else Balanced)(case, samples)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=case.accumulate,
        gradient_clip_val=case.clip,
        precision=None if fp16 else case.precision,
        plugins=[MixedPrecision("16-mixed", "cpu", scaler())] if fp16 else None,
        use_distributed_sampler=False,
        barebones=True,
        **{"devices": 1, **settings},
    )
    batches = [
        {name: values[list(samples)] for name, values in full_batch(step).items()}
        for step in range(STEPS)
    ]
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return module


def plain(case: Case) -> Trajectory:
    """The same by hand."""
    model = Network()
    encoders, optimizer, trajectory = (
        mp.Partition(model, **model.encoders),
        sgd(model),
        Trajectory(),
    )
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(case.precision)
    scale = scaler() if dtype == torch.float16 else None
    for step in range(STEPS):
        batch = full_batch(step)
        with torch.autocast("cpu", dtype) if dtype else nullcontext():
            objectives = losses(model(batch), batch["label"], EVERYTHING, {})
        parts = {name: loss / case.accumulate for name, loss in objectives.items()}
        scaled = {name: scale.scale(loss) for name, loss in parts.items()} if scale else parts
        mp.backward(scaled, encoders, case.method)
        if (step + 1) % case.accumulate == 0:
            if scale:
                scale.unscale_(optimizer)
            if case.clip:
                nn.utils.clip_grad_norm_(model.parameters(), case.clip)
            if scale:
                scale.step(optimizer)
                scale.update()
            else:
                optimizer.step()
            optimizer.zero_grad()
        trajectory.append(snapshot(model))
    return trajectory


def assert_equal(got: Trajectory, expected: Trajectory, tolerance: float) -> None:
    assert len(got) == len(expected) == STEPS
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lightning_equals_a_plain_loop_step_by_step(case: Case) -> None:
    module = train(case)
    assert_equal(module.trajectory, plain(case), 1e-6)
    assert (module.conflicts > 0) == (case.method != mp.Uniform())


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("automatic", "manual")])
def test_every_case_is_one_of_its_own(name: str) -> None:
    """What the trainer is asked for changes the result, so that ignoring it would be noticed."""
    last, automatic = plain(CASES[name])[-1], plain(Case())[-1]
    assert any((last[key] - automatic[key]).abs().max() > 1e-4 for key in automatic)


DISTRIBUTED = {name: CASES[name] for name in ("automatic", "accumulated-clipped", "bf16", "manual")}


def share(rank: int) -> dict[str, Any]:
    """Trains on this rank's samples, once for each case."""
    os.environ["LOCAL_RANK"] = str(rank)  # tells Lightning that the processes are there already
    samples = EVERYTHING[rank::2]
    trained = {
        name: train(case, samples, devices=2, strategy="ddp") for name, case in DISTRIBUTED.items()
    }
    return {
        name: {"trajectory": m.trajectory, "conflicts": m.conflicts} for name, m in trained.items()
    }


@pytest.mark.distributed
def test_two_processes_equal_one_with_the_full_batch(tmp_path: Path) -> None:
    first, second = on_ranks(tmp_path, share)
    for name, case in DISTRIBUTED.items():
        # bfloat16 rounds each rank's mean of losses by itself.
        assert_equal(first[name]["trajectory"], plain(case), 5e-3 if name == "bf16" else 1e-6)
        assert_equal(first[name]["trajectory"], second[name]["trajectory"], 0.0)
        assert first[name]["conflicts"] > 0
