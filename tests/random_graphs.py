"""Random models of real modules whose losses leave their encoders wherever chance has it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

import mmpareto as mp

WIDTH = 4
MODALITIES = ("audio", "visual", "text")


class Halves(torch.autograd.Function):
    """Two outputs of one function; both gradients are filled up with zeros."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, ::2].clone(), x[:, 1::2].clone()

    @staticmethod
    def backward(ctx: object, even: Tensor, odd: Tensor) -> Tensor:
        return torch.stack([even, odd], -1).flatten(1)


class Layer(nn.Module):
    """A layer, tied to another in some encoders."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.linear = kind, nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH) if kind == "norm" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.norm(self.linear(x)))


@dataclass
class Move:
    """How the next value of an encoder is made.

    Attributes:
        kind: Name of the operation.
        layer: Number of the encoder's layer that it uses.
        sources: Numbers of earlier values.
    """

    kind: str
    layer: int
    sources: tuple[int, int]


@dataclass
class Plan:
    """An encoder, and where its values go.

    Attributes:
        moves: One per value but the first, which is the input.
        exits: Numbers of the values that the joint loss reads.
        own: Number of the value that its own loss reads; None without such a loss.
        headless: Whether its own loss stands straight on the value.
    """

    moves: list[Move]
    exits: list[int]
    own: int | None
    headless: bool
    extra: dict[str, int] = field(default_factory=dict)


class RandomModel(nn.Module):
    """Encoders with skips, reused layers, exits at several depths, frozen parts, and heads."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = random.Random(seed)
        torch.manual_seed(seed)
        names = MODALITIES[: chance.randint(1, 3)]
        self.plans = {name: _plan(chance) for name in names}
        self.encoders = nn.ModuleDict()
        for name, plan in self.plans.items():
            count = 1 + max(move.layer for move in plan.moves)
            kinds = [chance.choice(["plain", "norm"]) for _ in range(count)]
            self.encoders[name] = nn.ModuleList([Layer(kind) for kind in kinds])
            if count > 1 and chance.random() < 0.3:
                self.encoders[name][chance.randrange(count)].requires_grad_(False)
        self.dense = len(names) > 1 and chance.random() < 0.3
        self.aligned = len(names) > 1 and chance.random() < 0.3
        exits = sum(len(plan.exits) for plan in self.plans.values())
        self.joint = nn.Linear(WIDTH * exits, 3)
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, 3) for name in names})
        self.exchange = nn.Linear(WIDTH, WIDTH)
        self.double()

    def values(self, name: str, x: Tensor) -> list[Tensor]:
        values = [x]
        for move in self.plans[name].moves:
            layer = self.encoders[name][move.layer]
            one, other = values[move.sources[0]], values[move.sources[1]]
            values.append(_made(move.kind, layer, one, other))
        return values

    def losses(self, batch: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
        values = {name: self.values(name, batch[name]) for name in self.encoders if name in names}
        if self.dense and len(values) > 1:  # the last encoder takes part in the first one's exits
            first, *_, last = values
            mixed = self.exchange(values[last][-1])
            values[first] = [value + mixed for value in values[first]]
        label = batch["label"]
        read = []
        for name, plan in self.plans.items():
            empty = torch.zeros(len(label), WIDTH, dtype=torch.float64)
            read += [values[name][number] if name in values else empty for number in plan.exits]
        losses = {"joint": nn.functional.cross_entropy(self.joint(torch.cat(read, 1)), label)}
        for name, plan in self.plans.items():
            if plan.own is None or name not in values:
                continue
            value = values[name][plan.own]
            if plan.headless:
                losses[name] = (value - 1).square().mean()
            else:
                losses[name] = nn.functional.cross_entropy(self.heads[name](value), label)
        if self.aligned and len(values) > 1:
            one, other = [made[-1] for made in values.values()][:2]
            losses["alignment"] = (one - other).square().mean()
        return {name: loss for name, loss in losses.items() if loss.requires_grad}

    def batch(self, seed: int, size: int = 8) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        batch = {}
        for name in self.encoders:
            batch[name] = torch.randn(size, WIDTH, generator=generator, dtype=torch.float64)
        return batch | {"label": torch.randint(3, (size,), generator=generator)}

    @property
    def partition(self) -> mp.Partition:
        return mp.Partition(self, **self.encoders)

    def probes(self, seed: int) -> dict[str, nn.Module]:
        """A layer of each encoder, or of some."""
        chance = random.Random(seed)
        chosen = {}
        for name, encoder in self.encoders.items():
            if not chosen or chance.random() < 0.7:
                chosen[name] = encoder[chance.randrange(len(encoder))]
        return chosen


def _plan(chance: random.Random) -> Plan:
    moves = [Move("layer", 0, (0, 0))]
    layers = 1
    for number in range(1, chance.randint(2, 7)):
        kind = chance.choice(["layer", "layer", "add", "reuse", "chunk", "halves", "tied", "twice"])
        layer = chance.randrange(layers)
        if kind == "layer":
            layer, layers = layers, layers + 1
        recent = range(max(1, number - 2), number + 1)
        moves.append(Move(kind, layer, (chance.choice(recent), chance.randint(1, number))))
    values = range(1, len(moves) + 1)
    exits = [chance.choice(values) for _ in range(chance.randint(1, 3))]
    own = chance.choice(values) if chance.random() < 0.85 else None
    return Plan(moves, exits, own, chance.random() < 0.4)


def _made(kind: str, layer: Layer, one: Tensor, other: Tensor) -> Tensor:
    if kind == "add":
        return one + other
    if kind == "chunk":
        first, second = one.chunk(2, -1)
        return torch.cat([second, first.exp()], -1)
    if kind == "halves":
        even, odd = Halves.apply(one)
        return torch.cat([even * 2, odd], -1)
    if kind == "tied":  # the weight of another layer, past its module
        return torch.tanh(nn.functional.linear(one, layer.linear.weight.t()))
    if kind == "twice":
        return layer(layer(one) + other)
    return layer(one)
