"""Messages between processes. The only file that imports torch.distributed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
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
    return values if others is None else total(values, others)


def total(values: Tensor, group: ProcessGroup) -> Tensor:
    """Sum over the processes, written into `values`."""
    return begin_total(values, group)()


def begin_total(values: Tensor, group: ProcessGroup) -> Callable[[], Tensor]:
    """Begins the sum over the processes; what is returned gives it when it is there.

    On a processor, whose work the host does itself, the host waits.
    """
    work = dist.all_reduce(values, group=group, async_op=True)

    def finish() -> Tensor:
        work.wait()
        return values

    return finish


def exchange(mine: Message, group: ProcessGroup) -> list[Message]:
    """The message of every rank; a single one where all are the same, which 16 bytes can tell."""
    host = _host(group)
    number = int.from_bytes(hashlib.blake2b(repr(mine).encode(), digest_size=7).digest())
    extremes = torch.tensor([number, -number])
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
