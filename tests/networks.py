"""A small late-fusion classifier, its losses on random batches, and the catalogue of methods to
train it by.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto import balancing

WIDTHS = {"audio": 5, "visual": 4, "text": 6}


class Count(torch.autograd.Function):
    """Identity that counts the gradients passing through it."""

    @staticmethod
    def forward(ctx: object, x: Tensor, passes: Counter[str], name: str) -> Tensor:
        ctx.passes, ctx.name = passes, name
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None, None]:
        ctx.passes[ctx.name] += 1
        return grad, None, None


class LateFusion(nn.Module):
    """Encoders, a joint head on all features, and a head per modality."""

    def __init__(self, *modalities: str, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        encoders = {
            name: nn.Sequential(nn.Linear(WIDTHS[name], 6), nn.Tanh(), nn.Linear(6, 4))
            for name in modalities
        }
        self.encoders = nn.ModuleDict(encoders)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 3) for name in modalities})
        self.joint = nn.Sequential(nn.Linear(4 * len(modalities), 6), nn.Tanh(), nn.Linear(6, 3))
        self.to(dtype)

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: encoder(batch[name]) for name, encoder in self.encoders.items()}

    def losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = self.features(batch)
        logits = {"joint": self.joint(torch.cat(list(features.values()), 1))}
        logits |= {name: self.heads[name](feature) for name, feature in features.items()}
        return {
            name: nn.functional.cross_entropy(scores, batch["label"])
            for name, scores in logits.items()
        }

    def batch(self, seed: int = 0, size: int = 6) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        dtype = self.joint[0].weight.dtype
        batch = {
            m: torch.randn(size, WIDTHS[m], generator=generator, dtype=torch.float64)
            for m in self.encoders
        }
        label = torch.randint(
            3, (size,), generator=generator
        )  # noise: whether objectives agree is left to chance
        return {name: inputs.to(dtype) for name, inputs in batch.items()} | {"label": label}

    @property
    def partition(self) -> mp.Partition:
        return mp.Partition(self, **self.encoders)


def plain_gradients(model: nn.Module, *losses: Tensor) -> dict[str, Tensor | None]:
    """Gradient of the losses' sum by parameter name, from autograd, which leaves ``.grad`` as it
    was.
    """
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(sum(losses), parameters, retain_graph=True, allow_unused=True)
    return dict(zip(names, gradients, strict=True))


def inverse_lengths(gramian: Tensor) -> Tensor:
    lengths = gramian.diagonal().sqrt()
    return torch.where(lengths > 0, 1 / lengths, 0.0) * lengths.amax()


_EXPORTS = [
    value
    for value in vars(balancing).values()
    if inspect.isclass(value) and issubclass(value, mp.Method)
]
EXPORTED = [cls for cls in _EXPORTS if hasattr(cls, "name")]
"""All classes of methods."""

CLASSES = [
    cls
    for cls in [*EXPORTED, balancing.CustomWeighting]
    if cls.trains
    and not any(getattr(cls, hook) is not getattr(mp.Method, hook) for hook in balancing.AT_WORK)
]
"""Those that weigh gradients or losses, and do no more in a step."""

DEFAULTS: list[mp.Method] = [cls() for cls in CLASSES if cls is not balancing.CustomWeighting]
METHODS = {repr(method): method for method in [*DEFAULTS, mp.MMPareto(granularity="tensor")]}
METHODS["custom"] = balancing.CustomWeighting(inverse_lengths)

MEASURED = mp.Geometry()
_TYPICAL = (mp.Joint, mp.Uniform, mp.ScaledUniform, mp.MGDA, mp.MMPareto, balancing.CustomWeighting)
_STEPPED = {name: method for name, method in METHODS.items() if isinstance(method, _TYPICAL)}
# Between them these take every path through a step. Others differ in numbers that it does not look
# at; what is demanded of those numbers is demanded of every exported method.
every_method = pytest.mark.parametrize("method", _STEPPED.values(), ids=_STEPPED)
every_exported_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
with_and_without_geometry = pytest.mark.parametrize(
    "geometry", [MEASURED, None], ids=["geometry", "no-geometry"]
)


def weighted(method: mp.Method, objectives: list[str]) -> list[str]:
    """The objectives that have a part in an encoder whatever their gradients are."""
    if not isinstance(method, balancing.LossWeighting):
        return objectives
    weights = method.loss_weights(objectives)
    return [name for name, weight in zip(objectives, weights, strict=True) if weight != 0]
