"""What every ready model checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT
from mmpareto.specs import Shape


def check_counts(**settings: int) -> None:
    """Raises unless every setting is a positive whole number."""
    for name, value in settings.items():
        if not isinstance(value, int) or value < 1:
            raise MMParetoError(
                f"Parameter `{name}` should be a positive whole number. Found {value!r}."
            )


def check_modalities(modalities: Iterable[str]) -> None:
    """Raises unless there is a modality, and each name is one that a module can have."""
    names = list(modalities)
    if not names:
        raise MMParetoError("Parameter `shapes` should name at least one modality. Found none.")
    for name in names:
        if name == JOINT or not name or "." in name or hasattr(nn.ModuleDict(), name):
            raise MMParetoError(
                f"A modality's name should be other than '{JOINT}', without a dot, and no "
                f"attribute of nn.ModuleDict. Found '{name}'. Rename it."
            )


def check_images(shapes: Mapping[str, Shape]) -> dict[str, tuple[int, ...]]:
    """The shapes, all of images [channels, height, width].

    Raises:
        MMParetoError: If there are no modalities, or other ones.
    """
    check_modalities(shapes)
    images: dict[str, tuple[int, ...]] = {}
    for modality, shape in shapes.items():
        if not isinstance(shape, tuple) or len(shape) != 3 or min(shape) < 1:
            raise MMParetoError(
                f"Modality '{modality}' should be images [channels, height, width]. Found {shape}."
            )
        images[modality] = shape
    return images


def check_whole(rows: Mapping[str, Tensor] | None) -> None:
    """Raises if samples lack a modality, for models whose encoders exchange something."""
    if rows:
        raise MMParetoError(
            "Parameter `rows` should be None for this model, in which the encoders of a sample "
            "exchange something: all samples of a batch have the same modalities. Found some that "
            f"lack {', '.join(rows)}. Use the model late-fusion, which takes them."
        )


def present(inputs: Mapping[str, Tensor], encoders: nn.ModuleDict) -> dict[str, Tensor]:
    """The inputs that there are encoders for, in the encoders' order.

    Raises:
        MMParetoError: If there is none.
    """
    usable = {modality: inputs[modality] for modality in encoders if modality in inputs}
    if not usable:
        raise MMParetoError(
            f"Parameter `inputs` should have at least one of {tuple(encoders)} as a key. Found "
            f"{tuple(inputs)}."
        )
    return usable
