"""Who is timed. A contender is one line of the table at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchjd.aggregation import MGDA
from torchjd.autojac import backward as jacobian_backward
from torchjd.autojac import jac_to_grad

import mmpareto as mp
from benchmarks.authors import Losses, authors_recipe
from benchmarks.models import LateFusion

Backward = Callable[[Losses], object]
"""From the losses of one batch, by objective, to ``.grad``."""

Step = Callable[[dict[str, Tensor]], None]
"""One whole training step on a batch."""


@dataclass(frozen=True)
class Contender:
    """A way to differentiate.

    Attributes:
        name: As it is shown.
        make: Makes, once for a model, what is called in each step in place of ``loss.backward()``.
        period: Number of steps after which its cost repeats. A time is always the mean over whole
            periods.
    """

    name: str
    make: Callable[[LateFusion], Backward]
    period: int = 1

    def step(self, model: LateFusion, optimizer: torch.optim.Optimizer) -> Step:
        """The whole training step that is timed."""
        backward = self.make(model)

        def step(batch: dict[str, Tensor]) -> None:
            optimizer.zero_grad()
            backward(model.losses(batch))
            optimizer.step()

        return step


def sgd(model: nn.Module, lr: float = 1e-6) -> torch.optim.Optimizer:
    """SGD with momentum; at this rate weights, and the gradients' geometry, stay as they are."""
    return torch.optim.SGD(model.parameters(), lr, momentum=0.9)


def plain(model: LateFusion) -> Backward:
    """The summed loss."""
    return lambda losses: torch.stack(list(losses.values())).sum().backward()


def balanced(
    method: mp.Method, measure: Callable[[LateFusion], mp.Geometry | None] = lambda _: mp.Geometry()
) -> Callable[[LateFusion], Backward]:
    """``mp.backward`` with a method, whose geometry is measured as `measure` says for the model."""

    def make(model: LateFusion) -> Backward:
        encoders = mp.Partition(model, **model.encoders)
        geometry = measure(model)
        return lambda losses: mp.backward(losses, encoders, method, geometry=geometry)

    return make


def torchjd_mgda(model: LateFusion) -> Backward:
    """TorchJD's documented way for groups of parameters, each aggregated by itself.

    The heads get the sum. Per encoder the Jacobian of the two losses that reach it: all losses at
    once would have rows of zeros, which MGDA would choose. One row at a time is the faster of its
    two ways here, and works for all models; vmap is not and does not. Gramians tensor by tensor
    save it the concatenated Jacobian.
    """
    aggregator = MGDA()
    groups = {name: list(encoder.parameters()) for name, encoder in model.encoders.items()}
    rest = list(mp.Partition(model, **model.encoders).rest)

    def backward(losses: Losses) -> None:
        for name, group in groups.items():
            pair = [losses["joint"], losses[name]]
            jacobian_backward(pair, inputs=group, retain_graph=True, parallel_chunk_size=1)
            jac_to_grad(group, aggregator, optimize_gramian_computation=True)
        torch.autograd.backward(list(losses.values()), inputs=rest)

    return backward


PLAIN, UNIFORM = "plain backward", "uniform"
CONTENDERS = (
    Contender(PLAIN, plain),
    Contender(UNIFORM, balanced(mp.Uniform(), lambda _: None)),
    Contender("MMPareto", balanced(mp.MMPareto())),
    Contender("MMPareto, per tensor", balanced(mp.MMPareto(granularity="tensor"))),
    Contender(
        "MMPareto, probe",
        balanced(mp.MMPareto(), lambda model: mp.Geometry(probe=model.top_blocks)),
    ),
    Contender(
        "MMPareto, every 10", balanced(mp.MMPareto(), lambda _: mp.Geometry(every=10)), period=10
    ),
    Contender(
        "MMPareto, probe, every 10",
        balanced(mp.MMPareto(), lambda model: mp.Geometry(probe=model.top_blocks, every=10)),
        period=10,
    ),
    Contender("MGDA", balanced(mp.MGDA())),
    Contender("authors' recipe", authors_recipe),
    Contender("TorchJD MGDA", torchjd_mgda),
)
