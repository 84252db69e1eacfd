"""What several methods have in common: who trains encoders, and who contributes what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from mmpareto.balancing._view import Features
from mmpareto.partition import JOINT


def joint_alone(objectives: Sequence[str]) -> list[float]:
    """Weights with which the joint loss alone trains the encoders.

    Example:
        >>> joint_alone(["joint", "audio"])
        [1.0, 0.0]
    """
    return [float(objective == JOINT) for objective in objectives]


def shapley(features: Features, fuse: Callable[[Features], Tensor]) -> dict[str, Tensor]:
    r"""Each modality's contribution to the joint prediction, over all orders in which they come.

    The prediction from no modality counts as zero, so that the contributions add up to the joint
    prediction.

    .. math::
        \phi_m = \frac{1}{M} \sum_{S \not\ni m} \binom{M-1}{|S|}^{-1} (v(S \cup m) - v(S)),
        \qquad v(\varnothing) = 0

    Args:
        features: For each of M modalities its features.
        fuse: From the features of some modalities to a prediction; called 2^M - 1 times.

    Example:
        >>> import torch
        >>> values = {"a": [2.0, 0.0], "v": [0.5, 0.5], "av": [3.0, 1.0]}
        >>> parts = {"a": torch.zeros(1), "v": torch.zeros(1)}
        >>> shapley(parts, lambda some: torch.tensor(values["".join(some)]))
        {'a': tensor([2.2500, 0.2500]), 'v': tensor([0.7500, 0.7500])}
    """
    names = tuple(features)
    values: dict[tuple[str, ...], Tensor] = {}
    for size in range(1, len(names) + 1):
        for subset in combinations(names, size):
            values[subset] = fuse({name: features[name] for name in subset})
    contributions = {}
    for name in names:
        total = values[(name,)] / len(names)
        for subset, value in values.items():
            if name not in subset and len(subset) < len(names):
                joined = tuple(other for other in names if other in (*subset, name))
                orders = len(names) * comb(len(names) - 1, len(subset))
                total = total + (values[joined] - value) / orders
        contributions[name] = total
    return contributions


def certainty_weights(logits: Tensor) -> Tensor:
    """Weights [M, n] of M predictions [M, n, classes]: softmax of minus their entropies.

    What is NaN, the prediction of a modality that a sample lacks, has weight 0.
    """
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return (-entropy).masked_fill(entropy.isnan(), -torch.inf).softmax(0).nan_to_num()
