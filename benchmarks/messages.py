"""What processes send each other in a step: counted, timed, and predicted for other machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from mmpareto.distributed import _group

# Per operation: half exchanges, and which argument has the bytes of the whole vector.
OPERATIONS = {
    (dist, "all_reduce"): (2, 0),
    (dist, "all_to_all_single"): (1, 1),
    (dist, "broadcast"): (1, 0),
    (_group, "_reduce_scatter"): (1, 1),
    (_group, "_all_gather"): (1, 0),
}


@contextmanager
def counted(world: int) -> Iterator[list[float]]:
    """Collects the bytes that this process sends by the shortest exchanges there are.

    One half exchange sends ``(world - 1) / world`` of a vector: adding up so that each process has
    a share of the sum, or spreading shares. An all-reduce is two of them.
    """
    moved: list[float] = []
    originals = {place: getattr(*place) for place in OPERATIONS}

    def counting(operation: Callable[..., Any], halves: int, argument: int) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            moved.append(halves * (world - 1) / world * arguments[argument].nbytes)
            return operation(*arguments, **settings)

        return call

    for (module, name), (halves, argument) in OPERATIONS.items():
        setattr(module, name, counting(originals[module, name], halves, argument))
    try:
        yield moved
    finally:
        for (module, name), operation in originals.items():
            setattr(module, name, operation)


@dataclass(frozen=True)
class Network:
    """What joins the processes.

    Attributes:
        name: As it is shown.
        world: Number of processes.
        bandwidth: Bytes per second that one process sends.
        latency: Seconds of a message without content.
    """

    name: str
    world: int
    bandwidth: float
    latency: float

    def half(self, size: float) -> float:
        """Seconds of a half exchange of a vector of `size` bytes."""
        return self.latency + (self.world - 1) / self.world * size / self.bandwidth


@dataclass(frozen=True)
class Pair:
    """A model of two encoders of one size.

    Attributes:
        name: As it is shown.
        gradient: Bytes of one encoder's gradient.
        forward: Seconds of the forward pass of one encoder; a backward pass takes twice as long.
        memory: Bytes per second that the device reads.
    """

    name: str
    gradient: float
    forward: float
    memory: float = 2e12


def plain_step(pair: Pair, network: Network, buckets: int = 10) -> float:
    """Seconds of forward and backward pass under DistributedDataParallel.

    The gradient is sent in buckets, each as soon as it is known.
    """
    begin, backward = 2 * pair.forward, 4 * pair.forward
    sent = begin
    for number in range(1, buckets + 1):
        known = begin + backward * number / buckets
        sent = max(sent, known) + 2 * network.half(2 * pair.gradient / buckets)
    return max(sent, begin + backward)


def balanced_step(pair: Pair, network: Network, *, divided: bool) -> float:
    """Seconds of forward pass and `mmpareto.backward`, in the order in which it does things.

    Computation and messages each go on one after another, beside each other.

    Args:
        pair: The model.
        network: What joins the processes.
        divided: Whether processes keep shares of averages; else each averages the whole.
    """
    size, backward = pair.gradient, 2 * pair.forward
    first, last = (1, 1) if divided else (2, 0)  # half exchanges before and after the combination
    geometry = 5 * size / pair.memory / (network.world if divided else 1)
    joint = 2 * pair.forward + 2 * backward
    joint_sent = joint + first * network.half(2 * size)
    audio = joint + backward
    audio_sent = max(audio, joint_sent) + first * network.half(size)
    visual = audio + backward  # passed while the joint and the first encoder's gradients travel
    visual_sent = max(visual, audio_sent) + first * network.half(size)
    audio_combined = max(visual, audio_sent) + geometry
    channel = max(visual_sent, audio_combined) + last * network.half(size)
    visual_combined = max(visual_sent, audio_combined) + geometry
    return max(channel, visual_combined) + last * network.half(size)


def measured_network(world: int, size: int = 2**24, rounds: int = 9) -> Network:
    """What joins the processes of this run, by all-reduces of `size` bytes and of four."""
    seconds = {}
    for entries in (1, size // 4):
        values = torch.zeros(entries)
        times = []
        for _ in range(rounds):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(values)
            times.append(time.perf_counter() - start)
        seconds[entries] = sorted(times)[rounds // 2]
    latency = seconds[1] / 2
    carrying = max(seconds[size // 4] - seconds[1], 1e-9)
    return Network("this run", world, 2 * (world - 1) / world * size / carrying, latency)


PAIRS = (
    Pair("2 x 11 M (ResNet-18), 64 clips per device", 11.2e6 * 4, 7e-3),
    Pair("2 x 1 B (transformers), 16,384 tokens per device", 1e9 * 4, 0.11),
)
NETWORKS = (
    Network("8, one host", 8, 300e9, 15e-6),
    Network("64, 8 hosts", 64, 40e9, 40e-6),
    Network("1,024, 128 hosts", 1024, 40e9, 120e-6),
)


def predictions() -> list[dict[str, str]]:
    """What a step costs over DistributedDataParallel's on accelerators."""
    rows = []
    for pair in PAIRS:
        for network in NETWORKS:
            plain = plain_step(pair, network)
            row = {"encoders": pair.name, "accelerators": network.name}
            row["plain step, ms"] = f"{1e3 * plain:.0f}"
            for name, divided in (("whole averages", False), ("shares", True)):
                row[name] = f"{balanced_step(pair, network, divided=divided) / plain:.2f}"
            rows.append(row)
    return rows
