from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mmpareto.balancing._checks import check_not_negative
from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts, Range
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._moment import Moment
from mmpareto.balancing._shares import joint_alone
from mmpareto.balancing._view import View
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class OGMGE(LossWeighting):
    r"""On-the-fly gradient modulation with generalization enhancement.

    The encoder of a modality that is ahead of the others learns with a smaller gradient, and noise
    as strong as the gradient's own spread is added (GE). With s_m the mean probability that
    modality m's share of the joint head gives to the truth, and encoders that learn from the joint
    loss alone:

    .. math::
        \rho_m = s_m / \mathrm{mean}_{j \ne m} s_j, \qquad
        k_m = 1 - \tanh(\alpha \rho_m) \text{ where } \rho_m > 1, \text{ else } 1, \qquad
        g \leftarrow k_m g + \varepsilon

    The noise has the standard deviation of each tensor's gradient before it is scaled, as in the
    release (assumed of the paper's covariance). Under Adam a slowly varying k nearly cancels.

    Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR
    2022, arXiv 2203.15332. More than two modalities by the mean, as their TPAMI 2024 paper is
    summarized; means over samples in place of sums, so that processes may hold unequal numbers.

    Args:
        alpha: Strength of the modulation; 0 switches it off.
        noise: Whether noise is added.
        tensors: Which tensors of an encoder the noise is added to: all, or those of convolutions
            (4 dimensions), as in the release. There the scale, too, acts on these alone.

    Example:
        >>> from mmpareto.balancing import Evidence
        >>> scores = {"audio": torch.tensor(1.6118557), "visual": torch.tensor(1.1722933)}
        >>> OGMGE(alpha=0.3).scales(Evidence(scores, torch.tensor(True)), torch.nn.Module())
        {'audio': tensor(0.6094), 'visual': tensor(1.)}
    """

    name = "ogm-ge"
    facts = Facts(
        source="Peng et al., CVPR 2022, arXiv 2203.15332",
        family="gradients",
        needs="split model, classes",
        modalities="any",
        forwards=1,
        backwards=1,
        ranges={"alpha": Range(0.1, 1.0)},
    )
    requires = frozenset({JOINT})
    relies_on = frozenset({"fuse", "confidence"})

    alpha: float = 0.8
    noise: bool = True
    tensors: Literal["all", "convolutions"] = "all"

    def __post_init__(self) -> None:
        check_not_negative(alpha=self.alpha)

    def loss_weights(self, objectives: Sequence[str]) -> list[float]:
        return joint_alone(objectives)

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        return view.confidences(view.slices)

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        return {} if self.tensors == "convolutions" else self.factors(evidence)

    def factors(self, evidence: Evidence) -> dict[str, Tensor]:
        """The factor k of each modality."""
        factors = {}
        for modality in evidence:
            rho = evidence.ratio(modality)
            factors[modality] = torch.where(rho > 1, 1 - (self.alpha * rho).tanh(), 1.0)
        return factors

    def additions(self, moment: Moment, memory: nn.Module) -> Mapping[Tensor, Tensor]:
        added: dict[Tensor, Tensor] = {}
        only_convolutions = self.tensors == "convolutions"
        for modality, factor in self.factors(moment.evidence).items():
            for parameter, gradient in moment.on(modality).items():
                if only_convolutions and parameter.dim() != 4:
                    continue
                parts = []
                if only_convolutions:
                    lessened = torch.where(moment.evidence.complete, factor - 1, 0.0)
                    parts.append(lessened.to(gradient.dtype) * gradient)
                if self.noise and gradient.numel() > 1:
                    parts.append(moment.normal(parameter) * (gradient.std() + 1e-8))
                if parts:
                    added[parameter] = sum(parts[1:], parts[0])
        return added
