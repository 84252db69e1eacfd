"""Several micro-batches, one decision."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmpareto.balancing import GramianWeighting, Method, as_method, check_required, shortened
from mmpareto.distributed import Group, Ranks
from mmpareto.errors import MMParetoError
from mmpareto.gradients import add
from mmpareto.partition import Encoder, Partition, as_partition
from mmpareto.step._losses import check_objectives, needed_later
from mmpareto.step._per_objective import integrate
from mmpareto.step._report import StepReport


class Accumulation:
    """Adds up each objective's gradients over micro-batches and integrates them once, as one large batch would.

    Calling `backward` on each micro-batch instead decides on each by itself, and adds up what was
    decided. This class holds one gradient per objective between the micro-batches, which that does
    not, and averages plain parameters' gradients over processes once per step.

    Args:
        encoders: As for `backward`.
        method: As for `backward`. The geometry is always measured.
        group: As for `backward`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, head = nn.Linear(4, 2), nn.Linear(2, 1)
        >>> accumulation = mp.Accumulation({"audio": ear}, mp.MMPareto())
        >>> for audio in torch.randn(8, 4).chunk(2):
        ...     feature = ear(audio)
        ...     accumulation.add({"joint": head(feature).mean() / 2, "audio": feature.mean() / 2})
        >>> accumulation.backward()["audio"].objectives
        ('joint', 'audio')
    """

    def __init__(
        self,
        encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
        method: Method | GramianWeighting,
        *,
        group: Group = "default",
    ) -> None:
        self._partition, self._method = as_partition(encoders), as_method(method)
        if shortened(self._method):
            raise MMParetoError(
                "Parameter `method` of an accumulation should measure the whole geometry: it holds "
                "every objective's gradient anyway. Found one with `probe` or `every`."
            )
        self._group = group
        self._sums: dict[str, dict[Tensor, Tensor]] = {}

    def add(self, losses: Mapping[str, Tensor], *, retain_graph: bool = False) -> None:
        """Differentiates the losses of one micro-batch and adds their gradients to those held; ``.grad`` stays.

        Args:
            losses: As for `backward`, each divided by the number of micro-batches if it is a mean
                over samples.
            retain_graph: Whether to keep the graph for further use.

        Raises:
            MMParetoError: If the losses do not fit the encoders.
        """
        objectives = check_objectives(losses, self._partition)
        ranks = Ranks(self._partition, self._group)
        reach = ranks.local_reach({objective.name: objective.leaves for objective in objectives})
        later = needed_later(reach)
        gradients = {
            name: ranks.collect(losses[name], leaves, retain_graph=retain_graph or later[name])
            for name, leaves in reach.items()
        }
        for (
            name,
            gradient,
        ) in gradients.items():  # none is added before all are known: a pass may fail
            add(self._sums.setdefault(name, {}), gradient)

    def backward(self) -> StepReport:
        """Writes the balanced gradient of what was added into ``.grad``, and begins anew.

        Returns:
            The geometry of the whole step.

        Raises:
            MMParetoError: If nothing was added, on any process.
        """
        sums, self._sums = self._sums, {}
        ranks = Ranks(self._partition, self._group)
        reach = ranks.agree(lambda: {name: list(gradients) for name, gradients in sums.items()})
        check_required(self._method, reach)
        return integrate(
            self._method,
            self._partition,
            ranks,
            reach,
            lambda name: {
                leaf: (held := sums.get(name, {})).pop(leaf, None) for leaf in reach[name]
            },
        )
