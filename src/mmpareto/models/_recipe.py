"""How to build a model for a data set's modalities."""

# No postponed annotations: jsonargparse evaluates those of a base class in the module of the derived one.

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from mmpareto.models._output import Output


class MultimodalModel(nn.Module, ABC):
    """A model with one encoder per modality.

    Attributes:
        encoders: The encoders by modality.
    """

    encoders: nn.ModuleDict

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Output:
        """Predictions for a batch of inputs [B, ...] by modality."""


class ModelRecipe(ABC):
    """How to build one kind of model. Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the model.
    """

    name: ClassVar[str]

    @abstractmethod
    def build(self, shapes: Mapping[str, tuple[int, ...]], classes: int) -> MultimodalModel:
        """Makes a new model, its weights drawn from torch's global generator.

        Args:
            shapes: For each modality the shape of one sample.
            classes: Number of classes.

        Returns:
            The model.

        Raises:
            MMParetoError: If the model does not take samples of these shapes.
        """
