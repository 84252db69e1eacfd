"""What a multimodal model returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Output:
    """Predictions from all modalities together and from each.

    A modality that was missing from the inputs is missing from `unimodal` and `features` too.

    Attributes:
        joint: Logits [B, classes] from all modalities present.
        unimodal: For each modality present, logits [B, classes] from its features; in models with dense interaction,
            what the others passed on to it takes part.
        features: For each modality present, its encoder's output [B, ...].
    """

    joint: Tensor
    unimodal: dict[str, Tensor]
    features: dict[str, Tensor]

    @property
    def logits(self) -> dict[str, Tensor]:
        """All logits by objective: ``"joint"`` and the modalities."""
        return {"joint": self.joint, **self.unimodal}
