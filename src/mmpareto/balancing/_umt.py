# Annotations are not postponed: CONTRIBUTING.md says why.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._ensemble import each_alone
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Setup
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class UMT(LossWeighting):
    r"""Uni-modal teachers: features are held near those of models that saw one modality alone.

    .. math:: L = L_{\text{joint}} + \lambda \sum_m \mathrm{mean}_i |x_{m,i} - t_{m,i}|^2

    with t the features of a model of the modality alone, trained before and frozen.

    Source: Du et al., "On Uni-Modal Feature Learning in Supervised Multi-Modal Learning", ICML
    2023, arXiv 2305.01233 (equation and factor from memory: assumed).

    Args:
        strength: The factor lambda; 0 is joint.

    Example:
        >>> UMT(strength=10.0).distance(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
        tensor(25.)
    """

    name = "umt"
    facts = Facts(
        source="Du et al., ICML 2023, arXiv 2305.01233",
        family="losses",
        needs="features, a training of each modality alone; a forward pass of the teachers",
        modalities="any",
        forwards=2,
        backwards=1,
        ranges={"strength": Range(0.1, 100.0, "log")},
    )
    requires = frozenset({JOINT})

    strength: float = 10.0

    def __post_init__(self) -> None:
        check_not_negative(strength=self.strength)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def trainings(self, config: Any) -> Mapping[str, Any]:
        return each_alone(config)

    def memory(self, setup: Setup) -> nn.Module:
        teachers = nn.ModuleDict(setup.trained)
        return teachers.eval().requires_grad_(False)

    def distance(self, features: Tensor, taught: Tensor) -> Tensor:
        """The weighted distance of features [n, width] from the teacher's."""
        return self.strength * (features - taught).square().mean()

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, nn.ModuleDict)
        if not view.features:
            return view.losses
        total = view.losses[JOINT]
        for modality, features in view.features.items():
            rows = {modality: view.rows[modality]} if modality in view.rows else {}
            with torch.no_grad():
                taught = memory[modality]({modality: view.inputs[modality]}, rows)
            total = total + self.distance(
                view.having(modality, features),
                view.having(modality, taught.features[modality]),
            )
        return {**view.losses, JOINT: total}
