"""What methods are given when a training begins, and when an epoch does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmpareto.balancing._view import CLASSES, View
from mmpareto.partition import Partition
from mmpareto.specs import Target


@dataclass(frozen=True, eq=False)
class Setup:
    """What a training consists of when it begins.

    Args:
        encoders: The partition; its ``model`` is the whole model, if that is known.
        target: What is predicted.
        widths: For each modality the width of its features, if known.
        trained: Models of the trainings that came first, by their names.
    """

    encoders: Partition
    target: Target = CLASSES
    widths: Mapping[str, int] = field(default_factory=dict)
    trained: Mapping[str, nn.Module] = field(default_factory=dict)

    def zeros(self, *shape: int) -> Tensor:
        """Zeros on the model's device, in its precision or float32, whichever is higher."""
        return zeros_like_weights(self.encoders, *shape)


@dataclass(frozen=True, eq=False)
class Survey:
    """The beginning of an epoch.

    Args:
        epoch: Its number, from 0.
        encoders: The partition.
        read: Makes a pass without gradients, in evaluation mode, over a part of the data, ``train``
            or ``held-out``, with the model that is trained, or with another. It gives what each
            batch showed.
        initial: Gives the model's initial weights, by the names in its ``state_dict``.
        restart: Lets the optimizer begin anew, without what it remembers of earlier steps.
    """

    epoch: int
    encoders: Partition
    read: Callable[..., Iterator[View]] = lambda part, model=None: iter(())
    initial: Callable[[], Mapping[str, Tensor]] = dict
    restart: Callable[[], None] = lambda: None


def zeros_like_weights(encoders: Partition, *shape: int) -> Tensor:
    """Zeros where the weights are, in their precision or float32, whichever is higher."""
    weight = encoders.parameters[0]
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.zeros(shape, dtype=dtype, device=weight.device)


class Names(nn.Module):
    """The names of all modalities, for memories that need no more.

    Args:
        encoders: The partition.
    """

    def __init__(self, encoders: Partition) -> None:
        super().__init__()
        self.modalities = list(encoders)
