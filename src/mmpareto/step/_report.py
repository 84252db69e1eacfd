"""What one step tells about the objectives' geometry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from mmpareto import gradients


@dataclass(frozen=True, eq=False)
class EncoderReport:
    """Geometry of the objectives' gradients on one encoder, as tensors on its device; reading it never waits.

    Attributes:
        objectives: Names of the m objectives that reach the encoder, ``"joint"`` first.
        gramian: Tensor [m, m], inner products of their gradients.
        applied: Tensor [m], or [T, m] where each of the encoder's T parameter tensors has its own:
            the weights with which the gradients were combined.
    """

    objectives: tuple[str, ...]
    gramian: Tensor
    applied: Tensor

    @property
    def cosine(self) -> Tensor:
        """Smallest cosine between two objectives (for two: their cosine), 0-d; 0 where there is none."""
        return gradients.cosine(self.gramian)

    @property
    def conflict(self) -> Tensor:
        """Whether two objectives' gradients have a product that is not positive, boolean 0-d."""
        return gradients.conflict(self.gramian)

    @property
    def norms(self) -> dict[str, Tensor]:
        """Length of each objective's gradient, 0-d."""
        return dict(zip(self.objectives, gradients.norms(self.gramian).unbind(), strict=True))

    @property
    def weights(self) -> dict[str, Tensor]:
        """Weight of each objective's gradient, 0-d; the mean over parameter tensors where these differ."""
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
        """Everything as flat 0-d tensors, e.g.

        ``"cosine/audio"`` or ``"norm/audio/joint"``, for a logger.
        """
        flat: dict[str, Tensor] = {}
        for modality, report in self.items():
            conflict = report.conflict.to(report.gramian.dtype)  # loggers average
            flat |= {f"cosine/{modality}": report.cosine, f"conflict/{modality}": conflict}
            flat |= {
                f"norm/{modality}/{objective}": norm for objective, norm in report.norms.items()
            }
            flat |= {
                f"weight/{modality}/{objective}": weight
                for objective, weight in report.weights.items()
            }
        return flat
