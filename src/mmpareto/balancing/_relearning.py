from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import tanh

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._kmeans import kmeans, purity
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Names, Setup, Survey
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import check_classes
from mmpareto.partition import JOINT


class _Classes(Names):
    """The number of classes."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup.encoders)
        self.classes = setup.target.outputs


@dataclass(frozen=True)
class Relearning(LossWeighting):
    r"""Diagnosing and re-learning: an encoder that has overfitted goes part of the way back.

    At the beginning of given epochs, with the purity of the clusters (k-means, one per class) of
    each modality's features, on what is trained on and on what is held out:

    .. math::
        a_m = \tanh(\lambda \, |\mathrm{purity}_{\text{train}} - \mathrm{purity}_{\text{held out}}|)
        , \qquad \theta_m \leftarrow a_m \theta_m^{\text{initial}} + (1 - a_m)\, \theta_m

    Statistics of batch norm and the optimizer's momentum stay. Encoders learn from the joint loss
    alone. The paper reads the validation part; here a part of train is held out.

    Source: Wei et al., "Diagnosing and Re-learning for Balanced Multimodal Learning", ECCV 2024,
    arXiv 2407.09705.

    Args:
        strength: The factor lambda; 0 is joint.
        epochs: Before which epochs, from 0, the encoders are set back.

    Example:
        >>> round(Relearning().way_back(0.95, 0.75), 7)
        0.5370496
    """

    name = "relearning"
    facts = Facts(
        source="Wei et al., ECCV 2024, arXiv 2407.09705",
        family="weights",
        needs="features, classes, two forward passes over the data at each reset",
        modalities="any",
        forwards=1,
        backwards=1,
        uses_validation=True,
        ranges={"strength": Range(0.3, 10.0, "log")},
    )
    requires = frozenset({JOINT})

    strength: float = 3.0
    epochs: tuple[int, ...] = (20, 40, 60)

    def __post_init__(self) -> None:
        check_not_negative(strength=self.strength)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        check_classes(self.name, setup.target)
        return _Classes(setup)

    def way_back(self, trained: float, held_out: float) -> float:
        """The share a of the initial weights, from both purities."""
        return tanh(self.strength * abs(trained - held_out))

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        assert isinstance(memory, _Classes)
        if survey.epoch not in self.epochs:
            return
        trained = _purities(survey, "train", memory.classes)
        held_out = _purities(survey, "held-out", memory.classes)
        initial = survey.initial()
        for modality in trained.keys() & held_out.keys():
            share = self.way_back(trained[modality], held_out[modality])
            for parameter, first in _pairs(survey, modality, initial):
                parameter.lerp_(first.to(parameter), share)


def _purities(survey: Survey, part: str, classes: int) -> dict[str, float]:
    """For each modality the purity of the clusters of its features, scaled to [0, 1]."""
    features: dict[str, list[Tensor]] = {}
    labels: dict[str, list[Tensor]] = {}
    for view in survey.read(part):
        for modality, values in view.features.items():
            features.setdefault(modality, []).append(view.having(modality, values).flatten(1))
            labels.setdefault(modality, []).append(view.having(modality, view.label))
    purities = {}
    for modality, batches in features.items():
        points = torch.cat(batches).double().cpu()
        lowest, highest = points.amin(0), points.amax(0)
        scaled = (points - lowest) / (highest - lowest).clamp(min=1e-12)
        clusters = kmeans(scaled, classes, torch.Generator().manual_seed(0))
        purities[modality] = purity(clusters, torch.cat(labels[modality]).cpu(), classes)
    return purities


def _pairs(
    survey: Survey, modality: str, initial: Mapping[str, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """The parameters of an encoder that learn, each with its initial value."""
    inside = set(survey.encoders[modality])
    model = survey.encoders.model
    assert model is not None
    pairs: list[tuple[Tensor, Tensor]] = []
    for name, parameter in model.named_parameters():
        if parameter in inside and parameter.requires_grad:
            pairs.append((parameter, initial[name]))
    return pairs
