"""What the processes of a step agree on before they begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mmpareto.distributed._communicator import Communicator
from mmpareto.distributed._group import Group, exchange, multi_process_group
from mmpareto.errors import MMParetoError
from mmpareto.gradients import Graphs, among, outside
from mmpareto.partition import JOINT, Partition, check_some

Reach = Mapping[str, Sequence[Tensor]]
"""For each objective the leaves that its gradient reaches."""


_STEP = "what a step consists of"


@dataclass(frozen=True)
class _Message:
    """What one process tells the others.

    Attributes:
        encoders: The partition, in numbers of the model's parameters.
        reach: For each objective the numbers of the parameters that it reaches.
        zeros: Whether a wrapper makes up zero gradients.
        settings: What has to be equal on all.
        error: Why this process cannot make the step; empty if it can.
    """

    encoders: dict[str, list[int]]
    reach: dict[str, list[int]]
    zeros: bool
    settings: str
    error: str


def agree(
    communicator: Communicator,
    partition: Partition,
    describe: Callable[[], Graphs],
    settings: Callable[[], object],
) -> Graphs:
    """Tells what the graphs of a step are on all processes together, in an order equal on all.

    Args:
        communicator: The processes.
        partition: The encoders.
        describe: Reads the graphs of this process.
        settings: Gives what has to be equal on all; its ``repr`` is compared.

    Returns:
        For each objective of any process, the joint one first, the parameters of the model that it
        reaches on any; then leaves of this process alone, such as inputs that require a gradient.
        Functions written in Python are those of this process, made-up zeros those of any.

    Raises:
        MMParetoError: On all processes, if `describe` raises any error on one; if there is no
            objective, or none reaches the partition; if encoders or settings differ, or objectives
            while the model is sharded.
    """
    if communicator.group is None:
        graphs = describe()
        reach = communicator.local_reach(graphs.reach)
        ordered = {name: list(reach[name]) for name in _joint_first(reach)}
        agreed = Graphs(ordered, graphs.custom, graphs.zeros)
    else:
        agreed = _agree_with_others(communicator, partition, describe, settings())
    _check_reached(agreed.reach, communicator)
    return agreed


def announce(error: Exception, group: Group) -> None:
    """Tells the processes, which wait in `agree`, that this one cannot make the step.

    Args:
        error: Why it cannot.
        group: The processes; None for the default group.
    """
    others = multi_process_group(group)
    if others is not None:
        exchange(_Message({}, {}, False, "", _text(error)), others, _STEP)


def unite(
    communicator: Communicator, partition: Partition, leaves: Mapping[str, list[Tensor]]
) -> dict[str, list[Tensor]]:
    """Unites what each process lists under a name, in an order that is equal on all.

    Args:
        communicator: The processes.
        partition: The encoders.
        leaves: Parameters of the model, by name.
    """
    if communicator.group is None:
        return dict(leaves)
    return _agree_with_others(communicator, partition, lambda: Graphs(dict(leaves)), None).reach


def _agree_with_others(
    communicator: Communicator,
    partition: Partition,
    describe: Callable[[], Graphs],
    settings: object,
) -> Graphs:
    assert communicator.group is not None
    parameters = partition.parameters
    number = dict(zip(parameters, range(len(parameters)), strict=True))
    graphs = Graphs({})
    reach: Reach = {}
    error: Exception | None = None
    try:
        graphs = describe()
        reach = communicator.local_reach(graphs.reach)
        _check_known(reach, number)
    except Exception as raised:  # the others would wait
        error = raised
    mine = _Message(
        encoders=_in_numbers(partition, number),
        reach=_in_numbers(reach, number),
        zeros=graphs.zeros,
        settings=repr(settings),
        error=_text(error),
    )
    objectives = ", ".join(f"'{name}'" for name in reach) or "none"
    what = f"{_STEP} (here with the objectives {objectives})"
    messages = exchange(mine, communicator.group, what)
    if error is not None:
        raise error
    _check_equal(messages, sharded=communicator.sharded)
    agreed: dict[str, list[Tensor]] = {}
    names: dict[str, None] = {}
    for message in messages:
        names |= dict.fromkeys(message.reach)
    for name in _joint_first(names):
        numbers: set[int] = set()
        for message in messages:
            numbers.update(message.reach.get(name, ()))
        agreed[name] = [parameters[i] for i in sorted(numbers)]
        agreed[name] += outside(reach.get(name, ()), number)
    zeros = any(message.zeros for message in messages)
    return Graphs(agreed, graphs.custom, zeros)


def _in_numbers(leaves: Reach, number: Mapping[Tensor, int]) -> dict[str, list[int]]:
    numbers = {}
    for name, listed in leaves.items():
        numbers[name] = sorted(map(number.__getitem__, among(listed, number)))
    return numbers


def _text(error: Exception | None) -> str:
    if error is None or isinstance(error, MMParetoError):
        return str(error or "")
    return f"{type(error).__name__}: {error}"


def _check_known(reach: Reach, known: Mapping[Tensor, int]) -> None:
    for name, leaves in reach.items():
        for leaf in leaves:
            if isinstance(leaf, nn.Parameter) and leaf not in known:
                raise MMParetoError(
                    "Parameter `encoders` should know all modules that learn where there are "
                    f"several processes. Found that loss '{name}' reaches a parameter of shape "
                    f"{tuple(leaf.shape)} outside of the partition's model, whose gradient would "
                    "not be averaged. Pass all of them as one: "
                    "mp.Partition(torch.nn.ModuleList([model, criterion]), ...)."
                )


def _check_equal(messages: list[_Message], *, sharded: bool) -> None:
    first = messages[0]
    for rank, message in enumerate(messages):
        if message.error:
            raise MMParetoError(
                "Another process should have been able to make this step. Found on rank "
                f"{rank}: {message.error}"
            )
    for rank, message in enumerate(messages):
        if message.encoders != first.encoders:
            raise MMParetoError(
                "Parameter `encoders` should be the same on all ranks. Found different partitions."
            )
        if message.settings != first.settings:
            raise MMParetoError(
                "Method and geometry should be the same on all ranks. Found "
                f"{first.settings} on rank 0, {message.settings} on rank {rank}. Load the same "
                "state on all of them."
            )
        if sharded and set(message.reach) != set(first.reach):
            raise MMParetoError(
                "Parameter `losses` should have the same keys on all ranks where parameters are "
                f"sharded. Found {', '.join(first.reach)} on rank 0; {', '.join(message.reach)} on "
                f"rank {rank}. Give a modality that is missing on one rank the loss "
                "0 * output.sum()."
            )


def _check_reached(reach: Reach, communicator: Communicator) -> None:
    check_some(reach)
    reached: set[Tensor] = set()
    for leaves in reach.values():
        reached.update(leaves)
    if communicator.trainable and reached.isdisjoint(communicator.trainable):
        raise MMParetoError(
            "Parameter `encoders` should be a partition of the model that the losses come from. "
            "Found none of its trainable parameters in their graphs. Make it again after what "
            "copies or replaces parameters: copy.deepcopy, fully_shard, get_peft_model, a "
            "trainer's preparation."
        )


def _joint_first(objectives: Mapping[str, object]) -> list[str]:
    return sorted(objectives, key=lambda name: name != JOINT)
