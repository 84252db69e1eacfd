"""What all optimizers' settings have in common."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from mmpareto.errors import MMParetoError

Groups = list[dict[str, Any]]
"""Groups of parameters, as `torch.optim.Optimizer` takes them."""


class Optimizer(ABC):
    """Settings of an optimizer.

    Subclasses are frozen dataclasses whose fields are the user's settings.

    Attributes:
        name: What the command line calls the optimizer.
    """

    name: ClassVar[str]

    @abstractmethod
    def make(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimizer of some parameters.

        Args:
            groups: The parameters.
        """


def check_numbers(settings: Optimizer, *names: str) -> None:
    """Checks that settings are finite and not negative.

    Raises:
        MMParetoError: If one is not.
    """
    for name in names:
        value = getattr(settings, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value >= 0):
            raise MMParetoError(
                f"Parameter `optimizer.{name}` should be finite and not negative. Found {value!r}."
            )


def parameter_groups(
    model: nn.Module, encoders: nn.ModuleDict, factors: Mapping[str, float]
) -> Groups:
    """The parameters of a model in groups, by the factor of their learning rate.

    Args:
        model: The model.
        encoders: Its encoders.
        factors: The factor of some encoders; that of all else is 1.

    Returns:
        Groups with their ``factor``, which optimizers leave alone.

    Example:
        >>> model = nn.ModuleDict({"ear": nn.Linear(1, 1), "head": nn.Linear(1, 1)})
        >>> groups = parameter_groups(model, model, {"ear": 0.1})
        >>> [(len(group["params"]), group["factor"]) for group in groups]
        [(2, 0.1), (2, 1.0)]
    """
    factor_of = dict.fromkeys(model.parameters(), 1.0)
    for name, factor in factors.items():
        factor_of |= dict.fromkeys(encoders[name].parameters(), factor)
    members: dict[float, list[nn.Parameter]] = {}
    for parameter, factor in factor_of.items():
        members.setdefault(factor, []).append(parameter)
    return [{"params": group, "factor": factor} for factor, group in members.items()]
