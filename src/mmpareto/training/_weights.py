"""Weights in the format of safetensors: numbers and their names, nothing to run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mmpareto._storage._files import write_atomically
from mmpareto.errors import MMParetoError

_IDENTITY = "configuration"
"""Under which key a file says which training it is of."""


def save_weights(model: nn.Module, path: Path, identity: str) -> None:
    """Writes all that a model has learned.

    Args:
        model: The model.
        path: The file.
        identity: Identity of the configuration of its training.

    Raises:
        MMParetoError: If safetensors is not installed, or the file cannot be written.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise _not_installed() from error
    tensors = {}
    for name, value in model.state_dict().items():
        tensors[name] = value.detach().cpu().contiguous().clone()  # it takes no shared memory
    write_atomically(path, save(tensors, {_IDENTITY: identity}))


def load_weights(model: nn.Module, path: Path, identity: str) -> None:
    """Gives a model the weights in a file.

    Raises:
        MMParetoError: If the file is damaged, or of another training.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise _not_installed() from error
    try:
        with safe_open(path, "pt") as file:
            stored = (file.metadata() or {}).get(_IDENTITY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if stored == identity:
            model.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise MMParetoError(
            f"{path} should hold the weights of the training beside it. Found "
            f"{type(error).__name__} on reading it. Bring the folder's files back."
        ) from error
    if stored != identity:
        raise MMParetoError(
            f"{path} should hold the weights of the training that config.yaml describes. Found "
            "those of another. Bring the folder's files back."
        )


def _not_installed() -> MMParetoError:
    return MMParetoError(
        "Weights of trained models need safetensors. Run: pip install 'mmpareto[cli]'"
    )
