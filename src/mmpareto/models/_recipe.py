"""How to build a model for a data set's modalities."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.models._output import Output
from mmpareto.specs import Shape


class MultimodalModel(nn.Module, ABC):
    """A model with one encoder per modality.

    Attributes:
        encoders: The encoders by modality. Their parameters are what the methods balance; what is
            in none of them (fusion, heads, exchanges) receives the plain sum of all objectives'
            gradients.
        joint_is_expected: Whether the joint prediction is a probability or number to expect, in
            place of what the target makes one of.
    """

    encoders: nn.ModuleDict
    joint_is_expected: ClassVar[bool] = False

    def encode(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Features [B, ...] of each modality present, zero for samples that lack it.

        Args:
            inputs: As for `forward`.
            rows: As for `forward`.

        Raises:
            MMParetoError: If the model cannot be split: its encoders exchange something.
        """
        raise _not_split(self)

    def fuse(
        self, features: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The joint prediction [B, outputs] from features of any modalities; of none [1, outputs].

        Args:
            features: What `encode` gives, or the features of some of its modalities.
            rows: As for `forward`.

        Raises:
            MMParetoError: If the model cannot be split.
        """
        raise _not_split(self)

    @abstractmethod
    def forward(
        self, inputs: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> Output:
        """Predictions for a batch.

        Args:
            inputs: For each modality its batch [B, ...]. A modality may be missing: its key is
                absent, which goes for the whole batch. What the model has no encoder for is passed
                over, so that a model of some of a data set's modalities takes the data set's
                batches.
            rows: For each modality that some samples of the batch lack, int64 [n], which rows of
                its inputs are there. What stands in the others changes nothing.

        Returns:
            The predictions; those of a missing modality are absent.

        Raises:
            MMParetoError: If no modality of the model is present, or there are `rows` and the model
                takes none.
        """


class ModelRecipe(ABC):
    """How to build one kind of model.

    Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the model.
        dense: Whether the encoders exchange something, so that a unimodal loss reaches the other
            modalities' too.
    """

    name: ClassVar[str]
    dense: ClassVar[bool] = False

    @abstractmethod
    def build(self, shapes: Mapping[str, Shape], classes: int) -> MultimodalModel:
        """Makes a new model, its weights drawn from torch's global generator.

        Args:
            shapes: For each modality the shape of one sample.
            classes: Width of a prediction: number of classes, or of what is predicted instead.

        Returns:
            The model.

        Raises:
            MMParetoError: If the model does not take samples of these shapes.
        """


def can_split(model: nn.Module) -> bool:
    """Whether a model is split into `encode` and `fuse`."""
    return getattr(type(model), "fuse", MultimodalModel.fuse) is not MultimodalModel.fuse


def _not_split(model: nn.Module) -> MMParetoError:
    return MMParetoError(
        "A model should be split into encoders and what fuses their features, for a method that "
        f"asks what some modalities alone predict. Found {type(model).__name__}, whose encoders "
        "exchange something before they end. Choose a late-fusion model, or another method."
    )
