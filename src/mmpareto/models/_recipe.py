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
        encoders: The encoders by modality. Their parameters are what the methods balance; what is in none of them
            (fusion, heads, exchanges) receives the plain sum of all objectives' gradients.
    """

    encoders: nn.ModuleDict

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> Output:
        """Predictions for a batch.

        Args:
            inputs: For each modality its batch [B, ...]. A modality may be missing: its key is absent, which goes for
                the whole batch. What the model has no encoder for is passed over, so that a model of some of a data
                set's modalities takes the data set's batches.

        Returns:
            The predictions; those of a missing modality are absent.

        Raises:
            MMParetoError: If no modality of the model is present.
        """


class ModelRecipe(ABC):
    """How to build one kind of model. Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the model.
        dense: Whether the encoders exchange something, so that a unimodal loss reaches the other modalities' too.
    """

    name: ClassVar[str]
    dense: ClassVar[bool] = False

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
