# Annotations are not postponed: CONTRIBUTING.md says why.

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmpareto.balancing._facts import Facts
from mmpareto.balancing._joint import Joint
from mmpareto.balancing._method import LossWeighting
from mmpareto.balancing._role import Role


@dataclass(frozen=True)
class Ensemble(LossWeighting):
    """Each modality trained alone, by a model of its own; their expectations are averaged.

    What balancing should exceed: no modality disturbs another, and none learns from another.

    Source: UME, in Du et al., "On Uni-Modal Feature Learning in Supervised Multi-Modal Learning",
    ICML 2023, arXiv 2305.01233.

    Example:
        >>> from mmpareto import recipes
        >>> for name, training in Ensemble().trainings(recipes.cg_digits()).items():
        ...     print(name, training.method, training.modalities)
        gray Joint() ('gray',)
        colour Joint() ('colour',)
    """

    name = "ensemble"
    facts = Facts(
        source="UME of Du et al., ICML 2023, arXiv 2305.01233",
        family="ensemble",
        needs="a training of each modality alone, and none of its own",
        modalities="any",
        forwards=1,
        backwards=1,
    )
    role = Role(
        "apart",
        5,
        "#009E73",
        "^",
        "In ensemble, one network per modality is trained alone; joint is the average of their "
        "predictions.",
    )
    trains = False

    def trainings(self, config: Any) -> Mapping[str, Any]:
        return each_alone(config)


def each_alone(config: Any) -> dict[str, Any]:
    """Trainings of one modality each, by modality."""
    alone = {}
    for modality in config.modalities or config.shapes:  # the latter may read the data
        alone[modality] = replace(config, method=Joint(), modalities=(modality,))
    return alone
