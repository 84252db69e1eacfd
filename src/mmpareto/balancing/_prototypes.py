"""The classes' mean features."""

from __future__ import annotations

import torch
from torch import Tensor

from mmpareto.balancing._setup import Names, Setup, Survey
from mmpareto.balancing._view import View


class Prototypes(Names):
    """For each modality the classes' mean features [C, width]."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.encoders)
        self.classes = setup.target.outputs
        like = setup.encoders.parameters[0]
        for number, modality in enumerate(self.modalities):
            width = setup.widths[modality]
            self.register_buffer(f"of{number}", like.new_zeros(self.classes, width))

    def of(self, modality: str) -> Tensor:
        """The prototypes of a modality."""
        prototypes: Tensor = getattr(self, f"of{self.modalities.index(modality)}")
        return prototypes


def similarities(view: View, modality: str, prototypes: Prototypes) -> tuple[Tensor, Tensor]:
    """Minus the distances [n, C] to the prototypes, and the labels [n]."""
    features = view.having(modality, view.features[modality]).flatten(1)
    distances = torch.cdist(features, prototypes.of(modality).to(features.dtype))
    return -distances, view.having(modality, view.label)


def class_means(survey: Survey, prototypes: Prototypes) -> dict[str, Tensor]:
    """Class means [C, width] of the training part's features; zero for a class without samples."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for view in survey.read("train"):
        for modality, features in view.features.items():
            values = view.having(modality, features).flatten(1)
            label = view.having(modality, view.label)
            like = prototypes.of(modality)
            sums.setdefault(modality, torch.zeros_like(like)).index_add_(0, label, values)
            ones = torch.ones_like(values[:, 0])
            counts.setdefault(modality, torch.zeros_like(like[:, 0])).index_add_(0, label, ones)
    means = {}
    for modality, total in sums.items():
        means[modality] = total / counts[modality].clamp(min=1)[:, None]
    return means
