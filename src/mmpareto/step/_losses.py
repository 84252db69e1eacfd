"""The losses of one step, checked."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import torch
from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.gradients import Graphs, read_graphs
from mmpareto.partition import JOINT, Partition


def check_losses(losses: Mapping[str, Tensor], partition: Partition) -> Graphs:
    """Checks the losses of a step and reads their graphs.

    Args:
        losses: Scalars by objective.
        partition: The encoders.

    Returns:
        What their graphs tell.

    Raises:
        MMParetoError: If one is no scalar, without a graph, or reaches no parameter; or if losses
            and encoders are on different devices.
    """
    _check_keys(losses, partition)
    for name, loss in losses.items():
        _check_scalar(name, loss)
    graphs = read_graphs(losses)
    for name, leaves in graphs.reach.items():
        _check_reach(name, leaves, partition.owner)
    _check_devices(losses, partition)
    return graphs


def _check_keys(losses: Mapping[str, Tensor], partition: Partition) -> None:
    if not isinstance(losses, Mapping):
        raise MMParetoError(
            "Parameter `losses` should be a mapping from objective to scalar loss, "
            f"{{'{JOINT}': ..., {_listed(partition, ': ...')}}}. Found {type(losses).__name__}."
        )
    for name in losses:
        if not isinstance(name, str):
            raise MMParetoError(
                f"Parameter `losses` should be keyed by names of objectives. Found {name!r}."
            )


def _check_scalar(name: str, loss: Tensor) -> None:
    if not isinstance(loss, Tensor):
        found = type(loss).__name__
    elif loss.numel() != 1 or not loss.is_floating_point():
        found = f"{loss.dtype} of shape {tuple(loss.shape)}"
    elif not loss.requires_grad:
        raise MMParetoError(
            f"Loss '{name}' should depend on a trainable parameter. Found a tensor without a "
            "graph: was it computed under torch.no_grad(), detached, or from frozen parameters "
            "only? Leave an objective that has nothing to train out of `losses`."
        )
    else:
        return
    raise MMParetoError(
        f"Loss '{name}' should be a tensor with one real number. Found {found}. Reduce it, e.g. by "
        ".mean()."
    )


def _check_reach(name: str, leaves: list[Tensor], encoded: Container[Tensor]) -> None:
    if not any(isinstance(leaf, nn.Parameter) or leaf in encoded for leaf in leaves):
        raise MMParetoError(
            f"Loss '{name}' should reach a parameter. Found a graph that ends in {len(leaves)} "
            "other tensors. Was the model's output detached, or its input made to require a "
            "gradient?"
        )


def _check_devices(losses: Mapping[str, Tensor], partition: Partition) -> None:
    places: dict[str, torch.device] = {}
    for name, loss in losses.items():
        places[f"loss '{name}'"] = loss.device
    for name, parameters in partition.items():
        within = {parameter.device for parameter in parameters}
        if len(within) > 1:
            raise MMParetoError(
                f"Encoder '{name}' should be on one device. Found "
                f"{_listed(sorted(map(str, within)))}. Move it with .to(device)."
            )
        places[f"encoder '{name}'"] = parameters[0].device
    if len(set(places.values())) > 1:
        found = ", ".join(f"{what} on {device}" for what, device in places.items())
        raise MMParetoError(
            f"Losses and encoders should be on one device. Found {found}. Move them with "
            ".to(device)."
        )


def _listed(names: Iterable[str], suffix: str = "") -> str:
    return ", ".join(f"'{name}'{suffix}" for name in names)
