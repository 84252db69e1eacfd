"""The processes of a training step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmpareto.distribution._averaging import buckets, flatten, unflatten
from mmpareto.distribution._group import Group, exchange, several, synchronizes, total
from mmpareto.distribution._shards import is_sharded, local, once, processes, whole
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Gradients, accumulate, collect, collect_by_backward
from mmpareto.partition import JOINT, Partition


class Ranks:
    """The processes that share a training step; for one process everything here is the identity.

    Args:
        partition: The encoders, with the model they are part of.
        group: Whose gradients are averaged.

    Raises:
        MMParetoError: If there are several processes, or sharded parameters, and the partition does not know the
            model; if `group` is not that of the shards; or if DistributedDataParallel would average as well.
    """

    def __init__(self, partition: Partition, group: Group) -> None:
        sharded = [parameter for parameter in partition.parameters if is_sharded(parameter)]
        self._group, self._partition, self._sharded = several(group), partition, bool(sharded)
        self._trainable = [parameter for parameter in partition.parameters if parameter.requires_grad]
        if (sharded or self._group) and partition.model is None:
            raise MMParetoError(
                "Parameter `encoders` should know the whole model where there are several processes, so that all "
                "average the same parameters in the same order. Found encoders alone. Pass mp.Partition(model, ...), "
                "or group=None to average nothing."
            )
        size = self._group.size() if self._group else 1
        if others := {processes(parameter) for parameter in sharded} - {size}:
            raise MMParetoError(
                f"Parameter `group` should be the {others.pop()} processes over which parameters are sharded. Found "
                f"{size}. Leave it out, or pass the group of the device mesh."
            )
        if sharded and partition.model and any(synchronizes(module) for module in partition.model.modules()):
            raise MMParetoError(
                "DistributedDataParallel should not synchronize where other parameters of the model are sharded: it "
                "would average the first objective's gradients only. Found a module that does. Run the forward and "
                "the backward pass under its no_sync()."
            )

    def local_reach(self, reach: Mapping[str, Sequence[Tensor]]) -> Mapping[str, Sequence[Tensor]]:
        """The same in terms of the model's own parameters.

        Graphs of sharded models end in gathered parameters, which only the sharding module knows: there every
        objective is taken to reach all.
        """
        return dict.fromkeys(reach, self._trainable) if self._sharded else reach

    def agree(self, reach: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
        """What each objective reaches on any rank, in an order that is the same on all; the joint one first.

        Args:
            reach: For each objective on this rank, the leaves that its gradient reaches.

        Returns:
            For each objective of any rank, parameters of the model; then leaves of this rank that are in no model,
            whose gradients are its own affair.

        Raises:
            MMParetoError: On all ranks, if their encoders differ, or their objectives while the model is sharded.
        """
        reach = self.local_reach(reach)
        if self._group is None:
            return {name: list(reach[name]) for name in _joint_first(reach)}
        parameters = self._partition.parameters
        number = {parameter: i for i, parameter in enumerate(parameters)}
        mine = {name: sorted(number[leaf] for leaf in leaves if leaf in number) for name, leaves in reach.items()}
        encoders = {name: [number[parameter] for parameter in encoder] for name, encoder in self._partition.items()}
        theirs = exchange((encoders, mine), self._group)
        self._check_equal([others for others, _ in theirs], [list(other) for _, other in theirs])
        agreed = {
            name: {i for _, other in theirs for i in other.get(name, ())} for _, other in theirs for name in other
        }
        aliens = {name: [leaf for leaf in leaves if leaf not in number] for name, leaves in reach.items()}
        return {
            name: [parameters[i] for i in sorted(agreed[name])] + aliens.get(name, []) for name in _joint_first(agreed)
        }

    def _check_equal(self, encoders: list[dict[str, list[int]]], objectives: list[list[str]]) -> None:
        if any(other != encoders[0] for other in encoders):
            raise MMParetoError("Parameter `encoders` should be the same on all ranks. Found different partitions.")
        if self._sharded and any(set(names) != set(objectives[0]) for names in objectives):
            found = "; ".join(f"{', '.join(names)} on rank {rank}" for rank, names in enumerate(objectives))
            raise MMParetoError(
                "Parameter `losses` should have the same keys on all ranks where parameters are sharded. Found "
                f"{found}. Give a modality that is missing on one rank the loss 0 * output.sum()."
            )

    def collect(self, loss: Tensor | None, leaves: Sequence[Tensor], *, retain_graph: bool) -> Gradients:
        """This process's gradients of an objective; of sharded parameters its part.

        Args:
            loss: Scalar objective; None where this process lacks it.
            leaves: What it reaches.
            retain_graph: Whether a later objective still needs the graph.
        """
        if loss is None:
            return dict.fromkeys(leaves)
        if not self._sharded:
            return collect(loss, leaves, retain_graph=retain_graph)
        gradients = collect_by_backward(loss, self._trainable, retain_graph=retain_graph)
        return {p: None if (g := gradients[p]) is None else local(g, p) for p in leaves}

    def average(self, gradients: Gradients) -> Gradients:
        """Mean over ranks of an objective's gradients; a rank that lacks one counts as zero.

        Args:
            gradients: By leaf, in the order of `agree`. Emptied by the call. What is sharded has been averaged by
                its module.

        Returns:
            The same.
        """
        if self._group is None:
            return gradients
        replicated = [p for p in self._partition.parameters if p in gradients and not is_sharded(p)]
        averaged: Gradients = {}
        for bucket in buckets(replicated):
            flat = flatten(bucket, gradients)
            averaged |= unflatten(total(flat.div_(self._group.size()), self._group), bucket)
        return averaged | gradients

    def complete(self, gramians: Sequence[Tensor], encoders: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Gramians of whole gradients from those of this process's parts, in one collective.

        Args:
            gramians: For each encoder a tensor [T, m, m].
            encoders: For each encoder its T parameters.
        """
        if not self._sharded or self._group is None or not gramians:
            return list(gramians)
        parts = [once(*pair, self._group.size()).flatten() for pair in zip(gramians, encoders, strict=True)]
        sums = torch.split(total(torch.cat(parts), self._group), [part.numel() for part in parts])
        return [flat.view_as(gramian) for flat, gramian in zip(sums, gramians, strict=True)]

    def assign(self, gradients: Mapping[Tensor, Tensor]) -> None:
        """Adds `gradients`, of sharded parameters this process's part, to what is in ``.grad``."""
        accumulate({parameter: whole(gradient, parameter) for parameter, gradient in gradients.items()})


def _joint_first(objectives: Mapping[str, object]) -> list[str]:
    return sorted(objectives, key=lambda name: name != JOINT)
