from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._setup import Names, Setup, Survey
from mmpareto.balancing._view import View, check_classes
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class ReconBoost(LossWeighting):
    r"""Boosting in turns: one modality learns what the frozen others get wrong, then all together.

    The joint prediction is the sum F of the modalities' own logits z_m. In a stage of some epochs
    one modality k learns, with p_k = softmax(z_k), and p_{-k} that of the others' sum:

    .. math:: L_k = -\frac{1}{C} \sum_c y_c \, (\lambda - p_{-k,c}) \log p_{k,c}

    The more the others are sure of the truth already, the less there is to learn. A stage of
    rectification follows, in which all learn from the cross-entropy of F; then it is the turn of
    the next modality, and after the last one the first's. Each stage begins with an optimizer that
    remembers nothing. What the others' batch norm keeps still moves.

    Each modality has a head of its own. (The release shares one, learns a factor for each term of
    F, begins from encoders that were trained before, and has a further term that is detached on
    both sides, and so has no gradient.) A batch without modality k teaches nothing in its stage.

    Source: Hua et al., "ReconBoost: Boosting Can Achieve Modality Reconcilement", ICML 2024, arXiv
    2405.09321. The loss is the release's; the paper's, cross-entropy less a KL divergence from the
    others' prediction, has no lower bound as recalled.

    Args:
        strength: The weight lambda of the truth, at least 1.
        alone: How many epochs a modality learns by itself.
        together: How many epochs all learn after it.

    Example:
        >>> first, others = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)
        >>> ReconBoost().alone_loss(first, others, torch.tensor([0]))
        tensor(0.7048)
    """

    name = "reconboost"
    facts = Facts(
        source="Hua et al., ICML 2024, arXiv 2405.09321",
        family="alternation",
        needs="unimodal heads, classes, several epochs for each modality",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={
            "strength": Range(1.0, 10.0, "log"),
            "alone": Range(1, 10),
            "together": Range(0, 10),
        },
    )

    strength: float = 5.0
    alone: int = 4
    together: int = 4

    def __post_init__(self) -> None:
        check_not_negative(strength=self.strength)
        if self.strength < 1:
            raise MMParetoError(
                f"Parameter `strength` should be at least 1. Found {self.strength!r}."
            )
        for name, value, least in (("alone", self.alone, 1), ("together", self.together, 0)):
            if not isinstance(value, int) or value < least:
                raise MMParetoError(
                    f"Parameter `{name}` should be a whole number, at least {least}. Found "
                    f"{value!r}."
                )

    def memory(self, setup: Setup) -> nn.Module:
        check_classes(self.name, setup.target)
        return Names(setup.encoders)

    def stage(self, epoch: int) -> tuple[int, bool]:
        """Number of the stage's modality, counted on and on, and whether it learns alone."""
        number, passed = divmod(epoch, self.alone + self.together)
        return number, passed < self.alone

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        if survey.epoch > 0 and self.stage(survey.epoch) != self.stage(survey.epoch - 1):
            survey.restart()

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        assert isinstance(memory, Names)
        if not view.features:
            return view.losses
        logits = {modality: view.spread(modality) for modality in view.features}
        total = self.combine(view.logits[JOINT], logits)
        number, alone = self.stage(view.epoch)
        if not alone:
            return {JOINT: view.joint_loss(total)}
        learner = memory.modalities[number % len(memory.modalities)]
        if learner not in logits:
            return {JOINT: 0 * view.losses[JOINT]}
        z = view.logits[learner]
        others = (view.having(learner, total) - z).detach()
        return {learner: self.alone_loss(z, others, view.having(learner, view.label))}

    def alone_loss(self, z: Tensor, others: Tensor, label: Tensor) -> Tensor:
        """The loss 0-d of logits [n, C] beside the sum of the others' [n, C]."""
        truth = label[:, None]
        log_p = z.log_softmax(1).gather(1, truth)
        rest = self.strength - others.softmax(1).gather(1, truth)
        return -(rest * log_p).mean() / z.shape[1]

    def combine(self, joint: Tensor, unimodal: Mapping[str, Tensor]) -> Tensor:
        return torch.stack(list(unimodal.values())).nan_to_num().sum(0)
