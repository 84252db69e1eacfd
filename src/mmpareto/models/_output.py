"""What a multimodal model returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.export import register_dataclass


@dataclass(frozen=True, eq=False)
class Output:
    """Predictions from all modalities together and from each.

    A modality that was missing from the inputs is missing from `unimodal` and `features` too. Where
    n of the B samples have a modality, because the model was given its `rows`, there are n unimodal
    predictions, one for each of them, in their order; the loss of a modality is taken over these.

    Attributes:
        joint: Logits [B, classes] from all modalities present.
        unimodal: For each modality present, logits [B, classes], or [n, classes], from its
            features; in models with dense interaction, what the others passed on to it takes part.
        features: For each modality present, its encoder's output [B, ...]; zero for samples that
            lack it.
    """

    joint: Tensor
    unimodal: dict[str, Tensor]
    features: dict[str, Tensor]

    @property
    def logits(self) -> dict[str, Tensor]:
        """All logits by objective: ``"joint"`` and the modalities."""
        return {"joint": self.joint, **self.unimodal}


# So that torch.export and others find the tensors in it.
register_dataclass(Output, serialized_type_name="mmpareto.models.Output")
