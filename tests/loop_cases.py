"""Models of every kind, small and in float64, each with encoders and the losses of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NAMES = [f"m{i}" for i in range(32)]


@dataclass(frozen=True)
class Case:
    """A model, its encoders by name, and the losses of the batch made from a seed."""

    model: nn.Module
    encoders: Mapping[str, nn.Module]
    losses: Callable[[int], dict[str, Tensor]]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _coder(inputs: int = 3, outputs: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


class Fusion(nn.Module):
    """An encoder and a head per modality, and a joint head; with `dense`, features are modulated by
    all others.
    """

    def __init__(self, count: int, classes: int = 3, *, dense: bool = False) -> None:
        super().__init__()
        torch.manual_seed(count % 3)  # with conflicts among the first batches
        self.encoders = nn.ModuleDict({name: _coder() for name in NAMES[:count]})
        self.heads = nn.ModuleDict({name: nn.Linear(4, classes).double() for name in self.encoders})
        self.joint, self.dense = nn.Linear(4 * count, classes).double(), dense

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits by objective; a modality that is missing is zero in the joint head's input."""
        features = {name: self.encoders[name](x) for name, x in inputs.items()}
        if self.dense:
            total = sum(features.values())
            features = {name: x * (1 + (total - x).sigmoid()) for name, x in features.items()}
        zero = torch.zeros_like(next(iter(features.values())))
        joint = self.joint(torch.cat([features.get(name, zero) for name in self.encoders], 1))
        return {"joint": joint} | {name: self.heads[name](x) for name, x in features.items()}


def fusion(count: int, *, dense: bool = False) -> Case:
    model = Fusion(count, dense=dense)

    def losses(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        scores, labels = (
            model({name: normal(6, 3) for name in model.encoders}),
            torch.randint(3, (6,)),
        )
        return {name: F.cross_entropy(x, labels) for name, x in scores.items()}

    return Case(model, model.encoders, losses)


def _targets(loss: Callable[[Tensor, Tensor], Tensor], draw: Callable[[], Tensor]) -> Case:
    """Two modalities with another loss than cross-entropy."""
    model = Fusion(2)

    def losses(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        target = draw()
        return {
            name: loss(x, target)
            for name, x in model({name: normal(6, 3) for name in model.encoders}).items()
        }

    return Case(model, model.encoders, losses)


def multi_label() -> Case:
    def draw() -> Tensor:
        return torch.randint(2, (6, 3)).double().masked_fill(torch.rand(6, 3) < 0.4, torch.nan)

    def loss(scores: Tensor, target: Tensor) -> Tensor:
        known = ~target.isnan()
        return (
            F.binary_cross_entropy_with_logits(scores, target.nan_to_num(), reduction="none")
            * known
        ).sum() / 6

    return _targets(loss, draw)


def segmentation() -> Case:
    torch.manual_seed(0)
    encoders = nn.ModuleDict({name: nn.Conv2d(2, 3, 3, padding=1) for name in NAMES[:2]}).double()
    heads = nn.ModuleDict(
        {name: nn.Conv2d(3, 3, 1) for name in NAMES[:2]} | {"joint": nn.Conv2d(6, 3, 1)}
    ).double()

    def losses(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        features = {name: encoder(normal(2, 2, 4, 4)).tanh() for name, encoder in encoders.items()}
        features["joint"] = torch.cat(list(features.values()), 1)
        target = torch.randint(3, (2, 4, 4)).masked_fill(torch.rand(2, 4, 4) < 0.3, 255)
        return {
            name: F.cross_entropy(heads[name](x), target, ignore_index=255)
            for name, x in features.items()
        }

    return Case(nn.ModuleList([encoders, heads]), encoders, losses)


def contrastive() -> Case:
    """A loss between two modalities, beside theirs and the joint one; it reaches both encoders and
    its temperature.
    """
    model = Fusion(2)
    model.temperature = nn.Parameter(torch.ones((), dtype=torch.float64))

    def losses(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        features = [
            F.normalize(encoder(normal(6, 3)), dim=1) for encoder in model.encoders.values()
        ]
        scores, labels = (
            features[0] @ features[1].T * model.temperature.exp(),
            torch.randint(3, (6,)),
        )
        pairs = torch.arange(6)
        named = dict(zip(model.encoders, features, strict=True))
        return {
            "joint": F.cross_entropy(model.joint(torch.cat(features, 1)), labels),
            **{name: F.cross_entropy(model.heads[name](x), labels) for name, x in named.items()},
            "alignment": F.cross_entropy(scores, pairs) + F.cross_entropy(scores.T, pairs),
        }

    return Case(model, model.encoders, losses)


class StraightThrough(torch.autograd.Function):
    """A user's own function: rounds, and passes on a gradient that is clipped."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * (ctx.saved_tensors[0].abs() < 1)


def custom_function() -> Case:
    case = fusion(2)
    for encoder in case.encoders.values():
        encoder.register_forward_hook(lambda module, inputs, output: StraightThrough.apply(output))
    return case


def trunk(*, joint: bool = True) -> Case:
    """A trunk of all modalities (or of tasks without a joint loss) between their stems and
    heads.
    """
    case = fusion(2)
    shared = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).double()
    for encoder in case.encoders.values():
        encoder.register_forward_hook(lambda module, inputs, output: shared(output))

    def losses(seed: int) -> dict[str, Tensor]:
        return {name: loss for name, loss in case.losses(seed).items() if joint or name != "joint"}

    return Case(nn.ModuleList([case.model, shared]), {**case.encoders, "trunk": shared}, losses)


def tied_inside() -> Case:
    case = fusion(2)
    for encoder in case.encoders.values():
        again = nn.Linear(4, 4).double()
        encoder.extend([nn.Tanh(), again, nn.Tanh(), again])
    return case


def tied_to_head() -> Case:
    """As a decoder that reuses its embedding."""
    case = fusion(2)
    for name, encoder in case.encoders.items():
        encoder.extend([nn.Tanh(), nn.Linear(4, 3).double(), nn.Tanh(), nn.Linear(3, 4).double()])
        case.model.heads[name].weight = encoder[-3].weight
    return case


CASES: dict[str, Callable[[], Case]] = {
    **{f"{count} modalities": lambda count=count: fusion(count) for count in (1, 2, 3, 8, 16, 32)},
    **{
        f"dense interaction of {count}": lambda count=count: fusion(count, dense=True)
        for count in (2, 3, 7, 16)
    },
    "multi-label": multi_label,
    "mean squared error": lambda: _targets(F.mse_loss, lambda: normal(6, 3)),
    "Huber": lambda: _targets(F.huber_loss, lambda: 2 * normal(6, 3)),
    "segmentation": segmentation,
    "contrastive": contrastive,
    "custom function": custom_function,
    "trunk": trunk,
    "tasks on a trunk": lambda: trunk(joint=False),
    "weights tied inside an encoder": tied_inside,
    "weights tied to a head": tied_to_head,
}
