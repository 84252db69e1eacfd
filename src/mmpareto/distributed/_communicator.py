"""Gradients of one process, averaged over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from mmpareto.distributed._averaging import buckets, flatten, unflatten
from mmpareto.distributed._group import (
    Group,
    begin_mean,
    multi_process_group,
    total,
)
from mmpareto.distributed._modules import check_engine, check_modules
from mmpareto.distributed._shards import (
    as_distributed,
    count_parts_once,
    is_sharded,
    local_part,
    processes,
)
from mmpareto.errors import MMParetoError
from mmpareto.gradients import (
    Gradients,
    accumulate,
    collect,
    collect_by_backward,
    has_accumulation_hooks,
)
from mmpareto.partition import Partition

Finish = Callable[[], Gradients]
"""Gives what was begun when it is there."""


class Communicator:
    """The processes that share a training step; for one process everything here is the identity.

    Args:
        partition: The encoders, with the model they are part of.
        group: Whose gradients are averaged; None for the default group, if there is one.
        average: Whether any are.

    Raises:
        MMParetoError: If there are several processes, or sharded parameters, and the partition does
            not know the model; if `group` is not that of the shards; or if the model is sharded in
            a way that is not supported.

    Attributes:
        group: The process group, or None for a single process.
        sharded: Whether parameters are sharded.
        trainable: The parameters that require a gradient.
    """

    def __init__(self, partition: Partition, group: Group = None, *, average: bool = True) -> None:
        self.group = multi_process_group(group) if average else None
        self.trainable = [p for p in partition.parameters if p.requires_grad]
        sharded = list(filter(is_sharded, partition.parameters))
        self.sharded = bool(sharded)
        self._parameters = partition.parameters
        check_engine(partition.parameters)
        if self.group is not None or sharded:
            self._check(partition, sharded)

    def _check(self, partition: Partition, sharded: list[Tensor]) -> None:
        if partition.model is None:
            raise MMParetoError(
                "Parameter `encoders` should know the whole model where there are several "
                "processes, so that all average the same parameters in the same order. Found "
                "encoders alone. Pass mp.Partition(model, ...), or average=False to average "
                "nothing."
            )
        size = 1 if self.group is None else self.group.size()
        for parameter in sharded:
            if processes(parameter) != size:
                raise MMParetoError(
                    f"Parameter `group` should be the {processes(parameter)} processes over which "
                    f"parameters are sharded. Found {size}. Leave it out, or pass the group of the "
                    "device mesh."
                )
            if has_accumulation_hooks(parameter):
                raise MMParetoError(
                    "Sharded parameters should have no hooks that wait for a gradient "
                    "(register_post_accumulate_grad_hook): each objective's backward pass would "
                    "call them. Found one. Step the optimizer after mp.backward."
                )
        check_modules(partition.model, self.sharded)

    def local_reach(self, reach: Mapping[str, Sequence[Tensor]]) -> Mapping[str, Sequence[Tensor]]:
        """What each objective reaches, in terms of the model's own parameters.

        Graphs of sharded models end in gathered parameters, which only the sharding module knows:
        there every objective is taken to reach all.
        """
        return dict.fromkeys(reach, self.trainable) if self.sharded else reach

    def collect(
        self,
        loss: Tensor | None,
        leaves: Sequence[Tensor],
        edges: Sequence[GradientEdge] = (),
        *,
        retain_graph: bool,
    ) -> tuple[Gradients, list[Tensor | None]]:
        """This process's gradients of an objective; of sharded parameters its part.

        Args:
            loss: Scalar objective; None where this process lacks it.
            leaves: Leaf tensors that any process's objective reaches.
            edges: Values inside the graph, as for `mmpareto.gradients.collect`.
            retain_graph: Whether a later objective still needs the graph.

        Returns:
            The gradient by leaf, and at each of `edges`.
        """
        if loss is None or not (leaves or edges):
            return dict.fromkeys(leaves), [None] * len(edges)
        if not self.sharded:
            return collect(loss, leaves, edges, retain_graph=retain_graph)
        whole_gradients = collect_by_backward(loss, self.trainable, retain_graph=retain_graph)
        parts: Gradients = {}
        for leaf in leaves:
            gradient = whole_gradients[leaf]
            parts[leaf] = None if gradient is None else local_part(gradient, leaf)
        return parts, []

    def average(self, gradients: Gradients, objective: str = "") -> Gradients:
        """Mean over processes of an objective's gradients; one that lacks it counts as zero.

        Args:
            gradients: By leaf, in the order that was agreed on. Emptied by the call. What is
                sharded has been averaged by its module.
            objective: Its name, for messages; empty for a sum over objectives.
        """
        return self.begin_average(gradients, objective)()

    def begin_average(self, gradients: Gradients, objective: str = "") -> Finish:
        """Begins what `average` does; what is returned gives the mean."""
        if self.group is None:
            return lambda: gradients
        replicated = [p for p in self._parameters if p in gradients and not is_sharded(p)]
        begun = []
        for bucket in buckets(replicated):
            vector = flatten(bucket, gradients)
            begun.append((bucket, begin_mean(vector, self.group, gradients_of(objective))))

        def finish() -> Gradients:
            averaged: Gradients = {}
            for bucket, finish_vector in begun:
                averaged |= unflatten(finish_vector(), bucket)
            return averaged | gradients

        return finish

    def complete(
        self, gramians: Sequence[Tensor], encoders: Sequence[Sequence[Tensor]]
    ) -> list[Tensor]:
        """Gramians of whole gradients from those of this process's parts, in one collective.

        Args:
            gramians: For each encoder a tensor [T, m, m].
            encoders: For each encoder its T parameters.
        """
        if not self.sharded or self.group is None or not gramians:
            return list(gramians)
        parts = []
        for gramian, parameters in zip(gramians, encoders, strict=True):
            parts.append(count_parts_once(gramian, parameters, self.group.size()))
        return self.add_up(parts)

    def add_up(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Sums over the processes of some small tensors of one type, in one collective."""
        if self.group is None or not values:
            return list(values)
        sizes = list(map(Tensor.numel, values))
        flat = torch.cat(list(map(Tensor.flatten, values)))
        sums = torch.split(total(flat, self.group, "their parts of Gramians"), sizes)
        return list(map(Tensor.view_as, sums, values))

    def assign(self, gradients: Mapping[Tensor, Tensor]) -> None:
        """Adds `gradients`, of sharded parameters this process's part, to what is in ``.grad``.

        Raises:
            MMParetoError: If parameters are sharded, and none of them has a gradient; or if a
                ``.grad`` cannot be added to. No ``.grad`` was changed then.
        """
        if self.sharded and not any(map(is_sharded, gradients)):
            raise MMParetoError(
                "Sharded parameters should receive their gradients in every backward pass. Found "
                "none that did. Leave set_requires_gradient_sync and set_reshard_after_backward "
                "on, and call it outside of no_sync()."
            )
        distributed = {}
        for parameter, gradient in gradients.items():
            distributed[parameter] = as_distributed(gradient, parameter)
        accumulate(distributed)


def gradients_of(objective: str) -> str:
    """How messages name an objective's gradients; of all where the name is empty."""
    return f"the gradients of objective '{objective}'" if objective else "gradients of all losses"
