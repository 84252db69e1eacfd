"""Averages of which each process keeps a share, until what is made of them is put together.

An encoder's gradient is needed of several objectives, but sent on as one combination. Averaging
each on every process would be two half exchanges per objective: one that adds up, one that spreads
the sum. Here the second is made once, of the combination.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from mmpareto.distributed._averaging import buckets, flatten, unflatten
from mmpareto.distributed._communicator import Communicator, Finish, gradients_of
from mmpareto.distributed._group import begin_mean_share, begin_union, divides
from mmpareto.gradients import Gradients

LEAST = 2**20
"""Bytes of the encoders' gradients from which on fewer bytes make up for more messages."""


@dataclass(frozen=True)
class _Division:
    """Which part of a bucket's vector this process keeps.

    Attributes:
        parameters: Those of the bucket.
        padding: Zeros after the vector, with which every process has as many entries.
        pieces: For each parameter the number of its entries in this process's share, in order.
        share: Entries of a share.
    """

    parameters: list[Tensor]
    padding: int
    pieces: list[int]
    share: int

    def vector(self, gradients: Gradients) -> Tensor:
        """The gradients of all parameters and the padding, whole; taken out of `gradients`."""
        return flatten(self.parameters, gradients, padding=self.padding)

    def take_apart(self, share: Tensor) -> dict[Tensor, Tensor]:
        """Views of this process's share by parameter, 1-d; empty where it has none of it."""
        pieces = torch.split(share[: sum(self.pieces)], self.pieces)
        return dict(zip(self.parameters, pieces, strict=True))

    def put_together(self, pieces: Gradients) -> Tensor:
        """The share from its views, which are taken out of `pieces`."""
        return flatten(self.parameters, pieces, padding=self.share - sum(self.pieces))


def divide(parameters: list[Tensor], rank: int, world: int) -> _Division:
    """Divides the vector of all entries of some parameters into one share for each process.

    Example:
        >>> division = divide([torch.zeros(2), torch.zeros(3)], rank=1, world=2)
        >>> division.share, division.padding, division.pieces
        (3, 1, [0, 2])
    """
    sizes = list(map(Tensor.numel, parameters))
    share = -(-sum(sizes) // world)
    first, last = rank * share, (rank + 1) * share
    pieces, begin = [], 0
    for size in sizes:
        end = begin + size
        pieces.append(max(0, min(end, last) - max(begin, first)))
        begin = end
    return _Division(parameters, share * world - sum(sizes), pieces, share)


class Shares:
    """The shares that this process keeps of the gradients of some parameters.

    For a single process, sharded parameters, small encoders, and backends that offer no half
    exchange there are none: then everything is averaged as a whole.

    Args:
        communicator: The processes.
        groups: Parameters of the model; those of one list are reached by the same objectives, and
            needed together.
    """

    def __init__(self, communicator: Communicator, groups: Iterable[Sequence[Tensor]]) -> None:
        self._communicator = communicator
        self._divisions: list[_Division] = []
        group = communicator.group
        if group is None or communicator.sharded:
            return
        filled: list[list[Tensor]] = []
        for parameters in groups:
            filled += buckets(parameters)
        able = all(divides(bucket[0].device, group) for bucket in filled)
        if able and sum(p.nbytes for p in chain.from_iterable(filled)) >= LEAST:
            for bucket in filled:
                self._divisions.append(divide(bucket, group.rank(), group.size()))

    def begin_average(self, gradients: Gradients, objective: str) -> Finish:
        """Begins the mean over processes of an objective's gradients.

        Args:
            gradients: By leaf. Emptied by the call.
            objective: Its name, for messages.

        Returns:
            What gives the mean when it is there: this process's share of it where it is divided, as
            a vector, else the whole.
        """
        group, what = self._communicator.group, gradients_of(objective)
        begun = []
        for division in self._divisions:
            if division.parameters[0] in gradients:
                assert group is not None
                vector = division.vector(gradients)
                begun.append((division, begin_mean_share(vector, group, what)))
        finish_whole = self._communicator.begin_average(gradients, objective)
        if not begun:
            # Of one process `gradients` itself, so that who takes them frees them.
            return finish_whole

        def finish() -> Gradients:
            averaged: Gradients = {}
            for division, finish_share in begun:
                averaged |= division.take_apart(finish_share())
            return averaged | finish_whole()

        return finish

    def begin_union(self, gradients: Mapping[Tensor, Tensor]) -> Finish:
        """Begins to put together what all processes have made of their shares.

        Args:
            gradients: By parameter, each a share where it is divided.

        Returns:
            What gives the whole gradients when they are there.
        """
        whole: Gradients = dict(gradients)
        begun = []
        for division in self._divisions:
            if division.parameters[0] in gradients:
                assert self._communicator.group is not None
                share = division.put_together(whole)
                begun.append((division, begin_union(share, self._communicator.group)))

        def finish() -> Gradients:
            for division, finish_vector in begun:
                whole.update(unflatten(finish_vector(), division.parameters))
            return whole

        return finish

    def complete(
        self, gramians: Sequence[Tensor], encoders: Sequence[Sequence[Tensor]]
    ) -> list[Tensor]:
        """Gramians of whole gradients from those of this process's shares, in one collective.

        Args:
            gramians: For each encoder a tensor [T, m, m].
            encoders: For each encoder its T parameters.
        """
        if not self._divisions:
            return self._communicator.complete(gramians, encoders)
        return self._communicator.add_up(gramians)
