"""What one step tells about the objectives' geometry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from mmpareto import gradients
from mmpareto.gradients import Sides, side_gramians


@dataclass(frozen=True, eq=False)
class EncoderReport:
    """Geometry of the objectives' gradients on one encoder.

    Everything is a tensor on the encoder's device; reading it never waits.

    Attributes:
        objectives: Names of the m objectives that reach the encoder, ``"joint"`` first.
        gramian: Tensor [m, m], inner products of their gradients.
        applied: Tensor [m], or [T, m] where each of the encoder's T parameter tensors has its own:
            the weights with which the gradients were combined.
        sides: The sides of the geometry: for each the numbers of its objectives, whose gradients
            count as one. None if each objective is a side.
    """

    objectives: tuple[str, ...]
    gramian: Tensor
    applied: Tensor
    sides: Sides | None = None

    @property
    def side_gramian(self) -> Tensor:
        """Inner products of the s sides' gradients, tensor [s, s]."""
        if self.sides is None:
            return self.gramian
        return side_gramians(self.gramian[None], self.sides)[0]

    @property
    def cosine(self) -> Tensor:
        """Smallest cosine between two sides (for two: their cosine), 0-d; 0 where there is none."""
        return gradients.cosine(self.side_gramian)

    @property
    def conflict(self) -> Tensor:
        """Whether two sides' gradients have a product that is not positive, boolean 0-d."""
        return gradients.conflict(self.side_gramian)

    @property
    def norms(self) -> dict[str, Tensor]:
        """Length of each objective's gradient, 0-d."""
        lengths = gradients.norms(self.gramian)
        return dict(zip(self.objectives, lengths.unbind(), strict=True))

    @property
    def weights(self) -> dict[str, Tensor]:
        """Weight of each objective's gradient, 0-d; the mean over tensors where these differ."""
        mean = self.applied.reshape(-1, len(self.objectives)).mean(0)
        return dict(zip(self.objectives, mean.unbind(), strict=True))


class StepReport(Mapping[str, EncoderReport]):
    """The encoders' reports by modality; encoders that no objective reaches are absent."""

    def __init__(self, encoders: Mapping[str, EncoderReport]) -> None:
        self._encoders = dict(encoders)

    def __getitem__(self, modality: str) -> EncoderReport:
        return self._encoders[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoders)

    def __len__(self) -> int:
        return len(self._encoders)

    def __repr__(self) -> str:
        objectives = {modality: report.objectives for modality, report in self.items()}
        return f"StepReport({objectives})"

    def scalars(self) -> dict[str, Tensor]:
        """Everything as flat 0-d tensors for a logger, e.g. ``"norm/audio/joint"``."""
        scalars: dict[str, Tensor] = {}
        for modality, report in self.items():
            scalars[f"cosine/{modality}"] = report.cosine
            # Loggers average, so a flag has to be a number.
            scalars[f"conflict/{modality}"] = report.conflict.to(report.gramian.dtype)
            for objective, norm in report.norms.items():
                scalars[f"norm/{modality}/{objective}"] = norm
            for objective, weight in report.weights.items():
                scalars[f"weight/{modality}/{objective}"] = weight
        return scalars
