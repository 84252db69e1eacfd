"""The processes of a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from mmpareto.distributed._averaging import buckets, flatten, unflatten
from mmpareto.distributed._group import Group, begin_total, exchange, several, total
from mmpareto.distributed._modules import check_modules
from mmpareto.distributed._shards import is_sharded, local, once, processes, whole
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Gradients, accumulate, collect, collect_by_backward
from mmpareto.partition import JOINT, Partition, check_some


class Ranks:
    """The processes that share a training step; for one process everything here is the identity.

    Args:
        partition: The encoders, with the model they are part of.
        group: Whose gradients are averaged.

    Raises:
        MMParetoError: If there are several processes, or sharded parameters, and the partition does
            not know the model; if `group` is not that of the shards; or if the model is sharded in
            a way that is not supported.
    """

    def __init__(self, partition: Partition, group: Group) -> None:
        sharded = [parameter for parameter in partition.parameters if is_sharded(parameter)]
        self._group, self._partition, self.sharded = several(group), partition, bool(sharded)
        self._trainable = [
            parameter for parameter in partition.parameters if parameter.requires_grad
        ]
        if not (self._group or sharded):
            return
        if partition.model is None:
            raise MMParetoError(
                "Parameter `encoders` should know the whole model where there are several "
                "processes, so that all average the same parameters in the same order. Found "
                "encoders alone. Pass mp.Partition(model, ...), or group=None to average nothing."
            )
        size = self._group.size() if self._group else 1
        if others := {processes(parameter) for parameter in sharded} - {size}:
            raise MMParetoError(
                f"Parameter `group` should be the {others.pop()} processes over which parameters "
                f"are sharded. Found {size}. Leave it out, or pass the group of the device mesh."
            )
        check_modules(partition.model, bool(sharded))

    def local_reach(self, reach: Mapping[str, Sequence[Tensor]]) -> Mapping[str, Sequence[Tensor]]:
        """The same in terms of the model's own parameters.

        Graphs of sharded models end in gathered parameters, which only the sharding module knows:
        there every objective is taken to reach all.
        """
        return dict.fromkeys(reach, self._trainable) if self.sharded else reach

    def agree(
        self, describe: Callable[[], Mapping[str, Sequence[Tensor]]]
    ) -> dict[str, list[Tensor]]:
        """What each objective reaches on any rank, in an order that is the same on all; the joint one first.

        Args:
            describe: Tells for each objective on this rank the leaves that its gradient reaches.

        Returns:
            For each objective of any rank, parameters of the model; then leaves of this rank that
            are in no model, whose gradients are its own affair.

        Raises:
            MMParetoError: On all ranks, if `describe` raises it on any; if there is no objective,
                or none reaches the partition; if the encoders differ, or the objectives while the
                model is sharded.
        """
        if self._group is None:
            local = self.local_reach(describe())
            return self._checked({name: list(local[name]) for name in _joint_first(local)})
        parameters = self._partition.parameters
        number = {parameter: i for i, parameter in enumerate(parameters)}
        reach: Mapping[str, Sequence[Tensor]] = {}
        error: MMParetoError | None = None
        try:
            reach = self.local_reach(describe())
        except MMParetoError as raised:  # the others would wait
            error = raised
        mine = {
            name: sorted(number[leaf] for leaf in leaves if leaf in number)
            for name, leaves in reach.items()
        }
        encoders = {
            name: [number[parameter] for parameter in encoder]
            for name, encoder in self._partition.items()
        }
        theirs = exchange((encoders, mine, str(error or "")), self._group)
        if error is not None:
            raise error
        if failed := [f"rank {rank}: {text}" for rank, (_, _, text) in enumerate(theirs) if text]:
            raise MMParetoError(
                f"Another process should have been able to make this step. Found on {failed[0]}"
            )
        self._check_equal(
            [others for others, _, _ in theirs], [list(other) for _, other, _ in theirs]
        )
        names = _joint_first({name: None for _, other, _ in theirs for name in other})
        agreed = {
            name: {i for _, other, _ in theirs for i in other.get(name, ())} for name in names
        }
        aliens = {
            name: [leaf for leaf in leaves if leaf not in number] for name, leaves in reach.items()
        }
        return self._checked(
            {n: [parameters[i] for i in sorted(agreed[n])] + aliens.get(n, []) for n in names}
        )

    def _checked(self, reach: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
        check_some(reach)
        if self._trainable and {leaf for leaves in reach.values() for leaf in leaves}.isdisjoint(
            self._trainable
        ):
            raise MMParetoError(
                "Parameter `encoders` should be a partition of the model that the losses come "
                "from. Found none of its trainable parameters in their graphs. Make it again after "
                "what copies or replaces parameters: copy.deepcopy, fully_shard, get_peft_model, a "
                "trainer's preparation."
            )
        return reach

    def _check_equal(
        self, encoders: list[dict[str, list[int]]], objectives: list[list[str]]
    ) -> None:
        if any(other != encoders[0] for other in encoders):
            raise MMParetoError(
                "Parameter `encoders` should be the same on all ranks. Found different partitions."
            )
        if self.sharded and any(set(names) != set(objectives[0]) for names in objectives):
            found = "; ".join(
                f"{', '.join(names)} on rank {rank}" for rank, names in enumerate(objectives)
            )
            raise MMParetoError(
                "Parameter `losses` should have the same keys on all ranks where parameters are "
                f"sharded. Found {found}. Give a modality that is missing on one rank the loss 0 * "
                "output.sum()."
            )

    def collect(
        self, loss: Tensor | None, leaves: Sequence[Tensor], *, retain_graph: bool
    ) -> Gradients:
        """This process's gradients of an objective; of sharded parameters its part.

        Args:
            loss: Scalar objective; None where this process lacks it.
            leaves: What it reaches.
            retain_graph: Whether a later objective still needs the graph.
        """
        if loss is None or not leaves:
            return dict.fromkeys(leaves)
        if not self.sharded:
            return collect(loss, leaves, retain_graph=retain_graph)
        gradients = collect_by_backward(loss, self._trainable, retain_graph=retain_graph)
        return {p: None if (g := gradients[p]) is None else local(g, p) for p in leaves}

    def average(self, gradients: Gradients) -> Gradients:
        """Mean over ranks of an objective's gradients; a rank that lacks one counts as zero.

        Args:
            gradients: By leaf, in the order of `agree`. Emptied by the call. What is sharded has
                been averaged by its module.

        Returns:
            The same.
        """
        return self.begin_average(gradients)()

    def begin_average(self, gradients: Gradients) -> Callable[[], Gradients]:
        """Begins to average, as `average` does; what is returned gives the mean."""
        if self._group is None:
            return lambda: gradients
        replicated = [p for p in self._partition.parameters if p in gradients and not is_sharded(p)]
        begun = []
        for bucket in buckets(replicated):
            flat = flatten(bucket, gradients)
            begun.append((bucket, begin_total(flat.div_(self._group.size()), self._group)))

        def finish() -> Gradients:
            averaged: Gradients = {}
            for bucket, sums in begun:
                averaged |= unflatten(sums(), bucket)
            return averaged | gradients

        return finish

    def averages(
        self, objectives: Iterable[str], take: Callable[[str], Gradients]
    ) -> Iterator[tuple[str, Gradients]]:
        """Each objective's gradients, averaged over ranks while the next objective is differentiated.

        Args:
            objectives: Their names, the same on all ranks.
            take: Gives this process's gradients of an objective.
        """
        before: tuple[str, Callable[[], Gradients]] | None = None
        for name in objectives:
            begun = self.begin_average(take(name))
            if self._group is None:  # nothing to wait for: no second objective's gradients are held
                yield name, begun()
                continue
            if before:
                yield before[0], before[1]()
            before = name, begun
        if before:
            yield before[0], before[1]()

    def complete(
        self, gramians: Sequence[Tensor], encoders: Sequence[Sequence[Tensor]]
    ) -> list[Tensor]:
        """Gramians of whole gradients from those of this process's parts, in one collective.

        Args:
            gramians: For each encoder a tensor [T, m, m].
            encoders: For each encoder its T parameters.
        """
        if not self.sharded or self._group is None or not gramians:
            return list(gramians)
        parts = [
            once(*pair, self._group.size()).flatten()
            for pair in zip(gramians, encoders, strict=True)
        ]
        sums = torch.split(total(torch.cat(parts), self._group), [part.numel() for part in parts])
        return [flat.view_as(gramian) for flat, gramian in zip(sums, gramians, strict=True)]

    def assign(self, gradients: Mapping[Tensor, Tensor]) -> None:
        """Adds `gradients`, of sharded parameters this process's part, to what is in ``.grad``.

        Raises:
            MMParetoError: If parameters are sharded, and none of them has a gradient.
        """
        if self.sharded and not any(is_sharded(parameter) for parameter in gradients):
            raise MMParetoError(
                "Sharded parameters should receive their gradients in every backward pass. Found "
                "none that did. Leave set_requires_gradient_sync and set_reshard_after_backward "
                "on, and call it outside of no_sync()."
            )
        accumulate(
            {parameter: whole(gradient, parameter) for parameter, gradient in gradients.items()}
        )


def _joint_first(objectives: Mapping[str, object]) -> list[str]:
    return sorted(objectives, key=lambda name: name != JOINT)
