"""What a trained model takes and gives, as plain data beside its weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmpareto._storage._files import read_text, write_json
from mmpareto.data import Manifest, Splits
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Labels, Number, Shape, Target
from mmpareto.training._config import RunConfig
from mmpareto.training._config_file import describe
from mmpareto.training._schema import restore_fields

if TYPE_CHECKING:  # it needs pyarrow
    from mmpareto.data.tables._reader import Reader

_TABLE = "table"


@dataclass(frozen=True)
class Interface:
    """What a trained model takes and gives.

    Args:
        shapes: For each modality the shape of one sample.
        target: What is predicted.
        division: What made the parts of the data.
        sizes: Number of samples of each part.
        guess: Test score of a prediction that needs no input: the training part's most frequent
            class, or its mean.
    """

    shapes: dict[str, Shape]
    target: Labels | Number | Classes  # in this order: labels' fields are among those of classes
    division: str
    sizes: dict[str, int]
    guess: float


def save_interface(config: RunConfig, splits: Splits, path: Path) -> bool:
    """Writes what is needed of a training's data to use its model without them.

    Args:
        config: The training.
        splits: Its data.
        path: The file.

    Returns:
        Whether it could: a target of the user's own is no plain data.
    """
    target = config.data.target
    if not isinstance(target, Labels | Number | Classes):
        return False
    sizes = {part: len(dataset) for part, dataset in vars(splits).items()}
    guess = guess_score(target, splits.train.all_labels(), splits.test.all_labels())
    division, table = f"the data set {config.data.name}", None
    if isinstance(config.data, Manifest):
        division = config.data.contents.division
        table = describe(config.data.reader(splits.train, config.shapes), paths=False)
    content: dict[str, Any] = describe(Interface(config.shapes, target, division, sizes, guess))
    if table is not None:
        content[_TABLE] = table
    write_json(path, _in_json(content))
    return True


def load_interface(path: Path) -> tuple[Interface, Reader | None]:
    """Reads what `save_interface` wrote: plain values, none of which is imported or run.

    Returns:
        What the model takes and gives, and how it reads the rows of a table; None where its data
        are no table.

    Raises:
        MMParetoError: If the file is missing or is none.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise MMParetoError(f"{path} should be JSON. Found: {error}.") from error
    table = content.pop(_TABLE, None) if isinstance(content, dict) else None
    interface: Interface = restore_fields(Interface, content, str(path))
    if table is None:
        return interface, None
    try:
        from mmpareto.data.tables._reader import Reader
    except ImportError as error:
        raise MMParetoError(
            f"Reading tables needs {error.name}. Run: pip install 'mmpareto[data]'"
        ) from error
    reader: Reader = restore_fields(Reader, table, f"{path}, `{_TABLE}`")
    if reader.shapes != interface.shapes:
        raise MMParetoError(
            f"{path} should have one shape for each modality. Found {reader.shapes} and "
            f"{interface.shapes}. Bring the folder's files back."
        )
    return interface, reader


def guess_score(target: Target, train: Tensor, test: Tensor) -> float:
    """Test score of a prediction that needs no input.

    Args:
        target: What is predicted.
        train: Labels of the training part.
        test: Labels of the test part.

    Returns:
        Of the most frequent class; of the mean for a number; of any constant for several labels.

    Example:
        >>> labels = torch.tensor([0, 1, 1])
        >>> guess_score(Classes(("cat", "dog")), labels, torch.tensor([1, 1, 0, 1]))
        0.75
    """
    constant = torch.zeros(len(test), target.outputs)
    if isinstance(target, Classes):
        constant[:, train.bincount(minlength=target.outputs).argmax()] = 1
    return target.score(constant, test)


def _in_json(value: Any) -> Any:
    """Plain values without numbers that JSON has no sign for; these are texts."""
    if isinstance(value, dict):
        return {key: _in_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_in_json, value))
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
