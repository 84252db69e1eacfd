"""Any other optimizer of torch."""

# Annotations are not postponed: CONTRIBUTING.md says why.

import inspect
from dataclasses import dataclass, field

import torch

from mmpareto.errors import MMParetoError
from mmpareto.optimizers._optimizer import Groups, Optimizer

_PREFIX = "torch.optim."
_REFUSED = ("LBFGS", "SparseAdam", "Optimizer")
"""What a step with one backward pass and dense gradients does not serve."""

Setting = bool | float | list[float]


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """Any optimizer of `torch.optim`, by its path.

    Args:
        path: Path of the class, as in torch.optim.RAdam.
        settings: Its settings by name, as in ``{"lr": 0.001}``; torch's defaults for the others.

    Example:
        >>> optimizer = TorchOptimizer("torch.optim.RAdam", {"lr": 0.01})
        >>> type(optimizer.make([{"params": [torch.zeros(1)]}])).__name__
        'RAdam'
    """

    name = "torch"

    path: str
    settings: dict[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.path.removeprefix(_PREFIX)
        kind = vars(torch.optim).get(name)
        known = inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
        if self.path != _PREFIX + name or not known or name in _REFUSED:
            raise MMParetoError(
                "Parameter `optimizer.path` should be a class of torch.optim that makes its step "
                f"from one dense gradient, as torch.optim.RAdam. Found {self.path!r}. An optimizer "
                "of your own is a dataclass derived from mmpareto.optimizers.Optimizer."
            )
        self.make([{"params": [torch.zeros(1)]}])

    def make(self, groups: Groups) -> torch.optim.Optimizer:
        kind = getattr(torch.optim, self.path.removeprefix(_PREFIX))
        try:
            made: torch.optim.Optimizer = kind(groups, **self.settings)
        except (TypeError, ValueError, RuntimeError) as error:
            raise MMParetoError(
                f"Parameter `optimizer.settings` should be settings of {self.path}. Found: {error}."
            ) from error
        return made
