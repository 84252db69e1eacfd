from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmpareto.models._checks import present
from mmpareto.models._output import Output
from mmpareto.models._presence import scatter_present, select_present
from mmpareto.models._recipe import MultimodalModel
from mmpareto.specs import Target


class Ensemble(MultimodalModel):
    """Complete models of one modality each; what they expect is averaged.

    The joint prediction of a sample is the mean of the expectations (see `Target`) from those
    modalities that it has.

    Args:
        members: For each modality a model of it alone.
        target: What they predict.

    Example:
        >>> from mmpareto.models import LateFusionCNN
        >>> from mmpareto.specs import Classes
        >>> shapes = {"left": (4,), "right": (3,)}
        >>> members = {m: LateFusionCNN(width=2).build({m: s}, 2) for m, s in shapes.items()}
        >>> model = Ensemble(members, Classes(("no", "yes")))
        >>> output = model({"left": torch.randn(5, 4), "right": torch.randn(5, 3)})
        >>> output.joint.sum(1).round().tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    joint_is_expected = True

    def __init__(self, members: Mapping[str, MultimodalModel], target: Target) -> None:
        super().__init__()
        self.members = nn.ModuleDict(members)
        self.target = target

    @property
    def encoders(self) -> nn.ModuleDict:  # type: ignore[override]
        """The members' encoders by modality."""
        encoders = nn.ModuleDict()
        for modality, member in self.members.items():
            assert isinstance(member, MultimodalModel)
            encoders[modality] = member.encoders[modality]
        return encoders

    def forward(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Output:
        unimodal: dict[str, Tensor] = {}
        features: dict[str, Tensor] = {}
        expected: list[Tensor] = []
        counts: list[Tensor] = []
        for modality, values in present(inputs, self.members).items():
            own = (rows or {}).get(modality)
            present_rows = {} if own is None else {modality: own}
            output = self.members[modality]({modality: values}, present_rows)
            unimodal[modality] = select_present(output.joint, own)
            features[modality] = output.features[modality]
            expectation = self.target.expectation(unimodal[modality])
            expected.append(scatter_present(expectation, own, values.shape[0]))
            ones = torch.ones_like(expectation[:, :1])
            counts.append(scatter_present(ones, own, values.shape[0]))
        count = torch.stack(counts).sum(0).clamp(min=1)  # of no modality: a row that nobody reads
        return Output(torch.stack(expected).sum(0) / count, unimodal, features)
