"""A small model of three modalities trained by a method at work, without a trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.balancing import Balancer, Setup, Survey, View
from mmpareto.data import Batch
from mmpareto.models import LateFusion
from mmpareto.specs import Classes
from mmpareto.training._loading import select_modalities
from mmpareto.training._predictions import view_of

WIDTHS = {"audio": 5, "visual": 4, "text": 6}
TARGET = Classes(("a", "b", "c"))
STEPS_PER_EPOCH = 5


def make_model(
    modalities: tuple[str, ...] = ("audio", "visual", "text"), dtype: torch.dtype = torch.float64
) -> LateFusion:
    torch.manual_seed(0)
    encoders = {
        name: nn.Sequential(nn.Linear(WIDTHS[name], 6), nn.Tanh(), nn.Linear(6, 4))
        for name in modalities
    }
    return LateFusion(encoders, dict.fromkeys(modalities, 4), len(TARGET.names)).to(dtype)


def make_batch(number: int, size: int = 8, dtype: torch.dtype = torch.float64) -> Batch:
    """A batch that can be learned: the label is the largest of three components of the inputs,
    which the modalities show with unequal clarity.
    """
    generator = torch.Generator().manual_seed(number)
    hidden = torch.randn(size, 3, generator=generator, dtype=torch.float64)
    inputs = {}
    for clarity, (name, width) in enumerate(WIDTHS.items()):
        noise = torch.randn(size, width, generator=generator, dtype=torch.float64)
        inputs[name] = ((clarity + 0.5) * hidden.repeat(1, 2)[:, :width] + noise).to(dtype)
    return {"inputs": inputs, "label": hidden.argmax(1), "rows": {}}


def share(batch: Batch, start: int, stop: int, step: int = 1) -> Batch:
    chosen = slice(start, stop, step)
    inputs = {name: values[chosen] for name, values in batch["inputs"].items()}
    return {"inputs": inputs, "label": batch["label"][chosen], "rows": {}}


@dataclass(frozen=True)
class Configuration:
    """What a method that lets other trainings come first changes."""

    method: Any
    shapes: tuple[str, ...]
    modalities: tuple[str, ...] | None = None
    hold_out: bool = False


@dataclass
class Loop:
    """A model, a method at work on it, and an optimizer.

    Args:
        method: The method.
        model: The model.
        seed: Seed of the method.
        lessons: Steps of those trainings that come first.
        rate: The learning rate.
    """

    method: Any
    model: LateFusion = field(default_factory=make_model)
    seed: int = 0
    lessons: int = 0
    rate: float = 0.1

    def __post_init__(self) -> None:
        self.method.adapt(self.model)
        self.model.to(next(self.model.parameters()).dtype)
        self.partition = mp.Partition(self.model, **self.model.encoders)
        names = tuple(self.model.encoders)
        trained = {
            name: self.taught(first.modalities or names)
            for name, first in self.method.trainings(Configuration(self.method, names)).items()
        }
        setup = Setup(self.partition, TARGET, self.model.widths, trained)
        self.balancer = Balancer(self.method, self.partition, seed=self.seed, setup=setup)
        self.optimizer = torch.optim.SGD(self.model.parameters(), self.rate, momentum=0.9)
        self.initial = {name: value.clone() for name, value in self.model.state_dict().items()}

    def taught(self, modalities: tuple[str, ...]) -> LateFusion:
        """A model of a training that comes first."""
        model = make_model(modalities, self.dtype)
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for number in range(self.lessons):
            batch = select_modalities(make_batch(number, dtype=self.dtype), modalities)
            optimizer.zero_grad()
            torch.stack([*view_of(TARGET, model, batch).losses.values()]).sum().backward()
            optimizer.step()
        return model

    def view(self, batch: Batch, epoch: int = 0) -> View:
        return view_of(TARGET, self.model, batch, epoch)

    def losses(self, batch: Batch, epoch: int = 0) -> Mapping[str, Tensor]:
        return self.balancer.observe(self.view(batch, epoch))

    def backward(self, batch: Batch, epoch: int = 0) -> mp.StepReport:
        self.optimizer.zero_grad()
        losses = self.losses(batch, epoch)
        return mp.backward(losses, self.partition, self.balancer, geometry=None)

    def step(self, batch: Batch, epoch: int = 0) -> None:
        """One step per turn."""
        for turn in self.method.turns(tuple(self.model.encoders)):
            self.backward(select_modalities(batch, turn), epoch)
            self.optimizer.step()

    def begin(self, epoch: int) -> None:
        self.balancer.survey(
            Survey(
                epoch,
                self.partition,
                self.read,
                lambda: self.initial,
                self.optimizer.state.clear,
            )
        )

    def read(self, part: str, model: Any = None) -> Iterator[View]:
        for number in range(3):
            batch = make_batch(900 + number + 50 * (part != "train"), dtype=self.dtype)
            with torch.no_grad():
                yield view_of(TARGET, model or self.model, batch)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def train(self, steps: int, start: int = 0) -> None:
        for number in range(start, start + steps):
            if number % STEPS_PER_EPOCH == 0:
                self.begin(number // STEPS_PER_EPOCH)
            self.step(make_batch(number, dtype=self.dtype), number // STEPS_PER_EPOCH)

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.model.parameters()])
