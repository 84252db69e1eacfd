"""Messages between processes. The only file that imports torch.distributed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmpareto.errors import MMParetoError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

Group: TypeAlias = Union["ProcessGroup", None]
"""A process group; None for the default one, if there is one."""

Message = TypeVar("Message")

_COMBINED = "their shares of the combined gradients"

_hosts: WeakKeyDictionary[ProcessGroup, ProcessGroup] = (
    WeakKeyDictionary()
)  # keeps no group alive that was destroyed


def multi_process_group(group: Group) -> ProcessGroup | None:
    """The process group if it has more than one process, else None.

    Args:
        group: A process group, or None for the default one, if there is one.

    Raises:
        MMParetoError: If `group` is nothing of the kind.
    """
    if group is None:
        group = dist.group.WORLD if dist.is_available() and dist.is_initialized() else None
    elif not hasattr(group, "size"):
        raise MMParetoError(
            "Parameter `group` should be a process group, or None for the default one. "
            f"Found {group!r}. To average over no processes pass average=False."
        )
    return group if group is not None and group.size() > 1 else None


def place(group: Group) -> tuple[int, int]:
    """The number of this process, from 0, and how many there are."""
    others = multi_process_group(group)
    return (0, 1) if others is None else (others.rank(), others.size())


def sum_over(values: Tensor, group: Group) -> Tensor:
    """The sum over the processes, `values` for a single one; they may be written to."""
    others = multi_process_group(group)
    return values if others is None else total(values, others, "their evidence")


@contextmanager
def awaiting(what: str, group: ProcessGroup) -> Iterator[None]:
    """Says of a message that did not arrive who waited for it, and for what.

    Args:
        what: What the processes were to send.
        group: The processes.

    Raises:
        MMParetoError: If the time limit of the group has passed, or another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise MMParetoError(
            f"All processes should send {what} within the time limit of their group. Found that "
            f"rank {group.rank()} of {group.size()} waited in vain: {reason}. Look at what the "
            "other ranks say: one has ended, or is at another step. No `.grad` was changed."
        ) from error


def total(values: Tensor, group: ProcessGroup, what: str) -> Tensor:
    """Sum over the processes, written into `values`.

    Args:
        values: What this process has.
        group: The processes.
        what: What the values are, for messages.
    """
    with awaiting(what, group):
        dist.all_reduce(values, group=group)
    return values


def _arriving(
    works: list[dist.Work], values: Tensor, group: ProcessGroup, what: str
) -> Callable[[], Tensor]:
    """What waits for messages, and gives the values that they bring."""

    def finish() -> Tensor:
        with awaiting(what, group):
            for work in works:
                work.wait()
        return values

    return finish


def begin_mean(values: Tensor, group: ProcessGroup, what: str) -> Callable[[], Tensor]:
    """Begins the mean over the processes; what is returned gives it when it is there.

    On a processor, whose work the host does itself, the host waits.

    Args:
        values: What this process has. Written to.
        group: The processes.
        what: What the values are, for messages.
    """
    operation = _mean(values, group)
    with awaiting(what, group):
        work = dist.all_reduce(values, operation, group, async_op=True)
    return _arriving([work], values, group, what)


def spread(tensors: Iterable[Tensor]) -> None:
    """Overwrites tensors by those of the first process, where they are, in the default group."""
    for values in tensors:
        dist.broadcast(values, 0)


def begin_mean_share(values: Tensor, group: ProcessGroup, what: str) -> Callable[[], Tensor]:
    """Begins the mean over the processes of which each keeps its share, the rank-th of equal parts.

    Args:
        values: What this process has, a vector of as many equal parts as there are processes.
            Written to.
        group: The processes; see `divides`.
        what: What the values are, for messages.
    """
    if _backend(values.device, group) == "gloo":  # whose reduce-scatter is an all-reduce
        received = torch.empty_like(values)
        with awaiting(what, group):
            work = dist.all_to_all_single(received, values, group=group, async_op=True)
        finish = _arriving([work], received, group, what)
        return lambda: finish().view(group.size(), -1).mean(0)
    share = values.new_empty(len(values) // group.size())
    operation = _mean(values, group)
    with awaiting(what, group):
        work = _reduce_scatter(share, values, operation, group, async_op=True)
    return _arriving([work], share, group, what)


def begin_union(share: Tensor, group: ProcessGroup) -> Callable[[], Tensor]:
    """Begins to put the shares of all processes together, in the order of ranks."""
    whole = share.new_empty(len(share) * group.size())
    works = []
    if _backend(share.device, group) == "gloo":  # whose gathering copies once more
        parts = whole.view(group.size(), -1)
        parts[group.rank()].copy_(share)
        with awaiting(_COMBINED, group):
            for number, rank in enumerate(dist.get_process_group_ranks(group)):
                works.append(dist.broadcast(parts[number], rank, group, async_op=True))
    else:
        with awaiting(_COMBINED, group):
            works.append(_all_gather(whole, share, group, async_op=True))
    return _arriving(works, whole, group, _COMBINED)


def divides(device: torch.device, group: ProcessGroup) -> bool:
    """Whether `begin_mean_share` works there: whether each process can get its share alone."""
    return _backend(device, group) in ("gloo", "nccl", "xccl", "hccl")


def _mean(values: Tensor, group: ProcessGroup) -> dist.ReduceOp.RedOpType:
    """The operation that gives the mean of `values`, which are divided first if there is none."""
    if _backend(values.device, group) == "nccl":
        return dist.ReduceOp.AVG
    values.div_(group.size())
    return dist.ReduceOp.SUM


def _backend(device: torch.device, group: ProcessGroup) -> str:
    """What carries the messages of tensors on a device; empty if nothing does."""
    backends = dist.get_backend_config(group).split(",")  # such as cpu:gloo,cuda:nccl
    pairs = [pair.partition(":") for pair in backends]
    return {kind: name for kind, _, name in pairs}.get(device.type, "")


# Renamed in PyTorch 2.13.
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


def exchange(mine: Message, group: ProcessGroup, what: str) -> list[Message]:
    """The message of every rank; a single one where all are the same, which 16 bytes can tell.

    Args:
        mine: The message of this rank.
        group: The processes.
        what: What it is about, for messages.
    """
    host = _host(group)
    number = int.from_bytes(hashlib.blake2b(repr(mine).encode(), digest_size=7).digest())
    extremes = torch.tensor([number, -number])
    with awaiting(what, host):
        dist.all_reduce(extremes, dist.ReduceOp.MAX, host)
        if extremes[0] == -extremes[1]:
            return [mine]
        theirs: list[Message] = [mine] * host.size()
        dist.all_gather_object(theirs, mine, host)
    return theirs


def _host(group: ProcessGroup) -> ProcessGroup:
    """A group of the same processes whose messages lie in the hosts' memory."""
    if "cpu:" in dist.get_backend_config(group):
        return group
    if group not in _hosts:
        members = dist.get_process_group_ranks(group)
        _hosts[group] = dist.new_group(members, backend="gloo", use_local_synchronization=True)
    return _hosts[group]


def joined(module: nn.Module) -> bool:
    """Whether `module` is under ``torch.distributed.algorithms.join.Join``."""
    settings = getattr(module, "_join_config", None)
    return isinstance(module, nn.parallel.DistributedDataParallel) and bool(
        getattr(settings, "enable", False)
    )


def synchronizes(module: nn.Module) -> bool:
    """Whether a backward pass averages the gradients of `module` over processes by itself."""
    return isinstance(module, nn.parallel.DistributedDataParallel) and bool(
        module.require_backward_grad_sync
    )


def flat_sharded(module: nn.Module) -> bool:
    """Whether `module` shards its parameters as FSDP1 does, which leaves none of them whole."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # loaded if anything is of its classes
    return fsdp is not None and isinstance(module, fsdp.FullyShardedDataParallel)


def shards(module: nn.Module) -> bool:
    """Whether `module` shards parameters as FSDP2 does."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and isinstance(module, fsdp.FSDPModule)


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Gives every process of `mesh` a part of each parameter of `module` (FSDP2)."""
    from torch.distributed.fsdp import fully_shard

    fully_shard(module, mesh=mesh)


def to_local(distributed: Tensor, like: Tensor) -> Tensor:
    """This process's part of a distributed tensor when laid out as `like`."""
    from torch.distributed.tensor import DTensor

    assert isinstance(distributed, DTensor)
    assert isinstance(like, DTensor)
    return distributed.redistribute(placements=like.placements).to_local()


def from_local(part: Tensor, like: Tensor) -> Tensor:
    """The distributed tensor of which `part` is this process's, laid out as `like`."""
    from torch.distributed.tensor import DTensor

    assert isinstance(like, DTensor)
    return DTensor.from_local(
        part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
    )
