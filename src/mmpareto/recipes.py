"""Complete run configurations. Functions that return one; `dataclasses.replace` changes it."""

from __future__ import annotations

from pathlib import Path

from mmpareto.balancing import Method, MMPareto
from mmpareto.data import CGMNIST, AVDigits, CGDigits
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig


def cg_digits(method: Method | None = None, seed: int = 0) -> RunConfig:
    """The demo: scikit-learn's digits, 30 epochs of the paper's SGD.

    A training takes seconds on one core.

    Args:
        method: The balancing method; None for MMPareto.
        seed: Seed of the weights and of the order of samples.

    Example:
        >>> cg_digits().epochs
        30
    """
    return RunConfig(CGDigits(), method or MMPareto(), LateFusionCNN(), epochs=30, seed=seed)


def cg_mnist(root: Path | str, method: Method | None = None, seed: int = 0) -> RunConfig:
    """MNIST's 60,000 images, 5 epochs of the paper's SGD.

    Args:
        root: The file ``mnist.npz``, see `CGMNIST`.
        method: The balancing method; None for MMPareto.
        seed: Seed of the weights and of the order of samples.

    Example:
        >>> cg_mnist("mnist.npz").data.name
        'cg-mnist'
    """
    return RunConfig(CGMNIST(root), method or MMPareto(), LateFusionCNN(), epochs=5, seed=seed)


def av_digits(root: Path | str, method: Method | None = None, seed: int = 0) -> RunConfig:
    """Spoken digits with noisy handwritten ones, 4,000 pairs, 6 epochs of the paper's SGD.

    Args:
        root: Folder of both data sets, see `AVDigits`.
        method: The balancing method; None for MMPareto.
        seed: Seed of the weights and of the order of samples.

    Example:
        >>> av_digits("data").data.name
        'av-digits'
    """
    return RunConfig(AVDigits(root), method or MMPareto(), LateFusionCNN(), epochs=6, seed=seed)
