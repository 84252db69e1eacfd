from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

from mmpareto.balancing._facts import Facts
from mmpareto.balancing._method import GradientIntegration
from mmpareto.errors import MMParetoError

_RANDOM = ("random", "pcgrad")


@dataclass(frozen=True)
class TorchJD(GradientIntegration):
    """A weighting of TorchJD, by its name: ``"upgrad"`` for its ``UPGradWeighting``.

    It weighs as TorchJD does, in which the mean of the losses often takes the sum's place. Gramians
    are scaled to a longest gradient of 1, so that its absolute tolerances mean the same at any
    length of the gradients. All of its weightings but a few wait for the device.

    Source: Quinton and Rey, 2024, arXiv 2406.16232; torchjd.org.

    Args:
        weighting: Its name, in lower case and without "Weighting".

    Raises:
        MMParetoError: If TorchJD is not installed or has no such weighting; if the weighting needs
            arguments, draws random numbers, which differ between processes, or remembers earlier
            steps: it does not know on which encoder it is.

    Example:
        >>> import torch
        >>> TorchJD("mean").weights(torch.eye(2)[None])
        tensor([0.5000, 0.5000])
    """

    facts = Facts(
        source="Quinton and Rey, 2024, arXiv 2406.16232",
        family="gradients",
        needs="a gradient per loss, and torchjd",
        modalities="any",
        forwards=1,
        backwards=2,
        host_sync=True,
    )

    weighting: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"torchjd:{self.weighting}")
        _load(self.weighting)

    def weights(self, gramians: Tensor) -> Tensor:
        gramian = gramians.sum(0)
        longest = gramian.diagonal().amax()
        weights: Tensor = _load(self.weighting)(gramian / torch.where(longest == 0, 1.0, longest))
        return weights.to(gramian)


@cache
def _load(name: str) -> Callable[[Tensor], Tensor]:
    """A weighting that is a function of the Gramian alone, by its name."""
    try:
        package = import_module("torchjd.aggregation")
    except ImportError as error:
        raise MMParetoError(
            f"Method 'torchjd:{name}' needs torchjd. Run: pip install 'mmpareto[torchjd]'."
        ) from error
    known = {}
    for exported in package.__all__:
        if exported.endswith("Weighting") and exported != "Weighting":
            known[exported.removesuffix("Weighting").lower()] = getattr(package, exported)
    if name not in known:
        raise MMParetoError(
            f"Parameter `weighting` should be one of {', '.join(sorted(known))}. Found {name!r}."
        )
    if reason := _reason_against(name, known[name]):
        raise MMParetoError(
            f"Parameter `weighting` should be a function of the Gramian alone. Found {name!r}, "
            f"which {reason}."
        )
    try:
        weighting: Callable[[Tensor], Tensor] = known[name]()
    except ImportError as error:
        raise MMParetoError(f"Method 'torchjd:{name}' is not complete. {error}") from error
    return weighting


def _reason_against(name: str, weighting: type) -> str:
    """Why a weighting cannot be used; empty if it can."""
    if name in _RANDOM:
        return "draws random numbers, which differ between processes"
    if hasattr(weighting, "reset"):
        return "remembers earlier steps, and does not know on which encoder it is"
    for parameter in inspect.signature(weighting).parameters.values():
        if parameter.default is inspect.Parameter.empty:
            return f"needs the argument `{parameter.name}`: make it yourself, and give it as method"
    return ""
