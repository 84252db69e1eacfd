from __future__ import annotations

from torch import Tensor, nn

from mmpareto.balancing._setup import Setup


class Epochs(nn.Module):
    """Weights at the beginning of the epoch, and Fisher traces of this epoch and of two before."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.anchors: dict[Tensor, str] = {}
        for number, parameter in enumerate(setup.encoders.owner):
            self.anchors[parameter] = f"anchor{number}"
            self.register_buffer(f"anchor{number}", parameter.detach().clone())
        self.traces: Tensor
        self.steps: Tensor
        # For each modality the sum over this epoch's steps, and the means of two epochs before it.
        self.register_buffer("traces", setup.zeros(3, len(setup.encoders)))
        self.register_buffer("steps", setup.zeros())

    def anchor(self, parameter: Tensor) -> Tensor:
        """A parameter's value at the beginning of the epoch."""
        anchor: Tensor = getattr(self, self.anchors[parameter])
        return anchor
