"""The losses of one step, checked, with what each of them reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.gradients import leaves
from mmpareto.partition import JOINT, Partition


@dataclass(frozen=True)
class Objective:
    """A loss and the leaf tensors that its gradient reaches."""

    name: str
    loss: Tensor
    leaves: list[Tensor]


def check_objectives(losses: Mapping[str, Tensor], partition: Partition) -> list[Objective]:
    """Checks the losses of a step and traces their graphs.

    Args:
        losses: Scalars by objective.
        partition: The encoders.

    Returns:
        The objectives.

    Raises:
        MMParetoError: If one is no scalar, without a graph, or reaches no parameter; or if losses
            and encoders are on different devices.
    """
    _check_names(losses, partition)
    inside = {parameter for parameters in partition.values() for parameter in parameters}
    objectives = [_objective(name, losses[name], inside) for name in losses]
    _check_devices(objectives, partition)
    return objectives


def needed_later(reach: Mapping[str, Iterable[Tensor]]) -> dict[str, bool]:
    """For each objective, whether one after it passes through a part of its graph, which then has to be kept.

    Graphs that end in different leaves have nothing in common: what is shared leads to leaves that
    are.

    Args:
        reach: For each objective, in the order of the passes, the leaves that its gradient reaches.

    Example:
        >>> import torch
        >>> a, b = torch.ones(1), torch.ones(1)
        >>> needed_later({"joint": [a, b], "audio": [a], "visual": [b]})
        {'joint': True, 'audio': False, 'visual': False}
    """
    later: set[Tensor] = set()
    needed = {}
    for name, reached in reversed(list(reach.items())):
        needed[name] = not later.isdisjoint(reached)
        later.update(reached)
    return dict(reversed(list(needed.items())))


def _check_names(losses: Mapping[str, Tensor], partition: Partition) -> None:
    if not isinstance(losses, Mapping):
        raise MMParetoError(
            "Parameter `losses` should be a mapping from objective to scalar loss, "
            f"{{'{JOINT}': ..., {_listed(partition, ': ...')}}}. Found {type(losses).__name__}."
        )
    if unnamed := [name for name in losses if not isinstance(name, str)]:
        raise MMParetoError(
            f"Parameter `losses` should be keyed by names of objectives. Found {unnamed[0]!r}."
        )


def _objective(name: str, loss: Tensor, inside: set[Tensor]) -> Objective:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        found = (
            f"{loss.dtype} of shape {tuple(loss.shape)}"
            if isinstance(loss, Tensor)
            else type(loss).__name__
        )
        raise MMParetoError(
            f"Loss '{name}' should be a tensor with one real number. Found {found}. Reduce it, "
            "e.g. by .mean()."
        )
    if not loss.requires_grad:
        raise MMParetoError(
            f"Loss '{name}' should depend on a trainable parameter. Found a tensor without a "
            "graph: was it computed under torch.no_grad(), detached, or from frozen parameters "
            "only? Leave an objective that has nothing to train out of `losses`."
        )
    reached = leaves(loss)
    if not any(isinstance(leaf, nn.Parameter) or leaf in inside for leaf in reached):
        raise MMParetoError(
            f"Loss '{name}' should reach a parameter. Found a graph that ends in "
            f"{len(reached)} other tensors. Was the model's output detached, or its input made to "
            "require a gradient?"
        )
    return Objective(name, loss, reached)


def _check_devices(objectives: list[Objective], partition: Partition) -> None:
    where = {f"loss '{objective.name}'": objective.loss.device for objective in objectives}
    where |= {
        f"encoder '{name}'": p.device
        for name, parameters in partition.items()
        for p in reversed(parameters)
    }
    for name, parameters in partition.items():
        if len(devices := {p.device for p in parameters}) > 1:
            raise MMParetoError(
                f"Encoder '{name}' should be on one device. Found "
                f"{_listed(sorted(map(str, devices)))}. Move it with .to(device)."
            )
    if len(set(where.values())) > 1:
        found = ", ".join(f"{what} on {device}" for what, device in where.items())
        raise MMParetoError(
            f"Losses and encoders should be on one device. Found {found}. Move them with "
            ".to(device)."
        )


def _listed(names: Iterable[str], suffix: str = "") -> str:
    return ", ".join(f"'{name}'{suffix}" for name in names)
