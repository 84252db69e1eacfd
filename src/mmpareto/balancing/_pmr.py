from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative, check_shares
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._prototypes import Prototypes, class_means, similarities
from mmpareto.balancing._setup import Setup, Survey
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View, check_classes
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class PMR(LossWeighting):
    r"""Prototypical modal rebalance: the laggard is drawn to its class's mean features.

    With prototypes c_{m,y} (class means of the features, from a pass at each epoch's beginning),
    :math:`q_m = \mathrm{softmax}_y(-|x_m - c_{m,y}|)` and s_m the mean of q_m at the truth:

    .. math::
        L = L_{\text{joint}} + \alpha \sum_m \beta_m \, \mathrm{mean}(-\log q_m[y])
            - \mu \sum_m \gamma_m \, \mathrm{mean}\, H(q_m), \\
        \beta_m = \mathrm{clip}(\max_j s_j / s_m - 1, 0, 1), \qquad
        \gamma_m = \mathrm{clip}(s_m / \min_j s_j - 1, 0, 1)

    For two modalities these are the paper's. The entropy counts in the first epochs alone.

    Source: Fan et al., "PMR: Prototypical Modal Rebalance for Multimodal Learning", CVPR 2023,
    arXiv 2211.07089 (equations 9 to 13 from a third party's text: assumed). Here prototypes come
    from all of the training part, in the release from its first tenth; there the coefficients
    beta are 1 where they are positive, and there is no entropy: `form` = "release".

    Args:
        alpha: Weight of the prototypes' cross-entropy; 0, with `mu` 0, is joint.
        mu: Weight of the entropy.
        momentum: Share of the old prototypes that is kept at a pass.
        entropy_epochs: In how many epochs, the first ones, the entropy counts.
        form: ``"paper"`` or ``"release"``.

    Example:
        >>> PMR().loss_weights(["joint", "audio"])
        [1.0, 0.0]
    """

    name = "pmr"
    facts = Facts(
        source="Fan et al., CVPR 2023, arXiv 2211.07089",
        family="losses",
        needs="features, classes, a forward pass over the training part per epoch",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={
            "alpha": Range(0.1, 2.0, "log"),
            "momentum": Range(0.1, 0.9),
            "mu": Range(0.001, 0.1, "log"),
            "entropy_epochs": Range(0, 20),
        },
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse"})

    alpha: float = 1.0
    mu: float = 0.01
    momentum: float = 0.2
    entropy_epochs: int = 10
    form: Literal["paper", "release"] = "paper"

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha, mu=self.mu, entropy_epochs=self.entropy_epochs)
        check_shares(momentum=self.momentum)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def memory(self, setup: Setup) -> nn.Module:
        check_classes(self.name, setup.target)
        return Prototypes(setup)

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        assert isinstance(memory, Prototypes)
        for modality, fresh in class_means(survey, memory).items():
            old = memory.of(modality)
            old.copy_(fresh if survey.epoch == 0 else old.lerp(fresh, 1 - self.momentum))

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, Prototypes)
        scores = {}
        for modality in view.features:
            logits, truth = similarities(view, modality, memory)
            scores[modality] = logits.softmax(1).gather(1, truth[:, None])[:, 0]
        return scores

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, Prototypes)
        if not view.features:
            return view.losses
        scores = torch.stack(list(evidence.values()))
        total = view.losses[JOINT]
        for modality in view.features:
            logits, truth = similarities(view, modality, memory)
            log_q = logits.log_softmax(1)
            beta = (scores.amax() / evidence[modality] - 1).clamp(0, 1)
            gamma = (evidence[modality] / scores.amin() - 1).clamp(0, 1)
            if self.form == "release":
                beta, gamma = (beta > 0).to(beta.dtype), torch.zeros_like(gamma)
            late = view.epoch >= self.entropy_epochs
            entropy = -(log_q.exp() * log_q).sum(1).mean()
            attraction = -log_q.gather(1, truth[:, None]).mean()
            term = self.alpha * beta * attraction - (0 if late else self.mu) * gamma * entropy
            total = total + torch.where(evidence.complete, term, 0.0)
        return {**view.losses, JOINT: total}
