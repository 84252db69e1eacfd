"""Which parameters belong to which modality's encoder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mmpareto.errors import MMParetoError
from mmpareto.gradients import outside

Encoder: TypeAlias = nn.Module | Iterable[Tensor]

JOINT = "joint"
"""Name of the objective computed from all modalities together."""


class Partition(Mapping[str, tuple[Tensor, ...]]):
    """A checked assignment of parameters to modality encoders. It never changes.

    What is in no encoder (fusion, heads) needs no mention: it receives the plain sum of all
    objectives' gradients. A trunk that several modalities or tasks share is an encoder like any
    other, under a name of its own. Frozen parameters may be listed; they are skipped while
    ``requires_grad`` is false.

    The parameters are read once, here. Make a new partition after adding or replacing parameters,
    as ``fully_shard``, ``get_peft_model`` and ``load_state_dict(..., assign=True)`` do.

    Args:
        model: The whole model. If given, every encoder's parameters must belong to it. Several
            processes need it.
        **encoders: For each modality its encoder, as a module or as an iterable of parameters.
            Modality names that are no Python identifiers are passed as ``**{"left-eye": module}``.

    Raises:
        MMParetoError: If there is no encoder, an encoder is empty, holds something other than leaf
            tensors, is named ``"joint"``, shares a parameter with another encoder, or has one that
            is not in ``model``.

    Attributes:
        model: The whole model, or None.
        parameters: All parameters of the model, or of the encoders if it is not known; each once.
        owner: For each parameter that is in an encoder the encoder's name.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> ear, eye, head = nn.Linear(4, 2), nn.Linear(3, 2), nn.Linear(4, 2)
        >>> encoders = mp.Partition(nn.ModuleList([ear, eye, head]), audio=ear, visual=eye)
        >>> {modality: len(parameters) for modality, parameters in encoders.items()}
        {'audio': 2, 'visual': 2}

        A learning rate per encoder:

        >>> audio = {"params": encoders["audio"], "lr": 1e-3}
        >>> rest = {"params": [*encoders["visual"], *encoders.rest]}
        >>> [group["lr"] for group in torch.optim.SGD([audio, rest], lr=1e-2).param_groups]
        [0.001, 0.01]
    """

    def __init__(self, model: nn.Module | None = None, /, **encoders: Encoder) -> None:
        if model is not None and not isinstance(model, nn.Module):
            raise MMParetoError(
                "Parameter `model` should be the whole model, a torch.nn.Module, or be left out. "
                f"Found {type(model).__name__}. Pass encoders by name: Partition(model, audio=...)."
            )
        if not encoders:
            raise MMParetoError(
                "Parameter `encoders` should name at least one modality, e.g. Partition(model, "
                "audio=model.audio). Found none."
            )
        self.model = model
        self._parameters: dict[str, tuple[Tensor, ...]] = {}
        self._modules: list[nn.Module] = []
        for modality, encoder in encoders.items():
            if isinstance(encoder, nn.Module):
                self._modules.append(encoder)
            self._parameters[modality] = _parameters(modality, encoder)
        self.owner = _owners(self._parameters)
        if model is None:
            self.parameters = tuple(self.owner)
        else:
            self.parameters = tuple(model.parameters())
            self._check_inside()
        self._known = frozenset(self.parameters)

    def _check_inside(self) -> None:
        known = set(self.parameters)
        for modality, parameters in self._parameters.items():
            alien = outside(parameters, known)
            if alien:
                raise MMParetoError(
                    f"Encoder '{modality}' should be a part of `model`. Found {len(alien)} of "
                    f"its {len(parameters)} parameters outside it. Pass modules of this very "
                    "model, not of a copy."
                )

    @property
    def rest(self) -> list[Tensor]:
        """The model's parameters that are in no encoder."""
        return outside(self.parameters, self.owner)

    def check_fresh(self, leaves: Collection[Tensor]) -> None:
        """Raises if modules have other parameters than when the partition was made.

        Args:
            leaves: What the losses of a step reach.

        Raises:
            MMParetoError: If the losses reach such a new parameter.
        """
        unknown = set(outside(leaves, self._known))
        if not unknown:
            return
        for module in [self.model, *self._modules]:
            for name, parameter in module.named_parameters() if module is not None else ():
                if parameter in unknown:
                    raise MMParetoError(
                        "Parameter `encoders` should be a partition of the model as it is now. "
                        f"Found the parameter `{name}` of shape {tuple(parameter.shape)}, which "
                        "came after the partition was made. Make it again after what adds or "
                        "replaces parameters: load_state_dict(..., assign=True), get_peft_model, "
                        "fully_shard, a layer made anew."
                    )

    def __getitem__(self, modality: str) -> tuple[Tensor, ...]:
        return self._parameters[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        sizes = []
        for name, parameters in self.items():
            if any(map(is_lazy, parameters)):
                sizes.append(f"{name}=not initialized")
            else:
                sizes.append(f"{name}={sum(parameter.numel() for parameter in parameters):,}")
        return f"Partition({', '.join(sizes)})"


def as_partition(encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict) -> Partition:
    """Returns `encoders` as a checked partition."""
    if isinstance(encoders, Partition):
        return encoders
    if not isinstance(encoders, Mapping | nn.ModuleDict):
        raise MMParetoError(
            "Parameter `encoders` should be a Partition or a mapping from modality to module or "
            f"parameters. Found {type(encoders).__name__}."
        )
    for name in encoders:
        if not isinstance(name, str):
            raise MMParetoError(
                f"Parameter `encoders` should be keyed by modality names. Found {name!r}."
            )
    return Partition(**encoders)


def check_some(objectives: Collection[object]) -> None:
    """Raises unless there is an objective."""
    if not objectives:
        raise MMParetoError("Parameter `losses` should have at least one objective. Found none.")


def _owners(encoders: Mapping[str, tuple[Tensor, ...]]) -> dict[Tensor, str]:
    owner: dict[Tensor, str] = {}
    for modality, parameters in encoders.items():
        for parameter in parameters:
            other = owner.setdefault(parameter, modality)
            if other != modality:
                raise MMParetoError(
                    "Parameter `encoders` should be disjoint. Found a parameter of shape "
                    f"{tuple(parameter.shape)} in both '{other}' and '{modality}'. Leave what they "
                    "share out of both (it then receives the plain sum), or give it to one of them."
                )
    return owner


def _parameters(modality: str, encoder: Encoder) -> tuple[Tensor, ...]:
    if modality == JOINT:
        raise MMParetoError(
            f"Parameter `encoders` should be keyed by modality. Found '{JOINT}', the name of the "
            "joint objective."
        )
    if isinstance(encoder, Tensor) or not isinstance(encoder, nn.Module | Iterable):
        raise MMParetoError(
            f"Encoder '{modality}' should be a module or an iterable of parameters. Found "
            f"{type(encoder).__name__}."
        )
    listed = encoder.parameters() if isinstance(encoder, nn.Module) else encoder
    parameters = tuple(dict.fromkeys(listed))
    if not parameters:
        raise MMParetoError(
            f"Encoder '{modality}' should have at least one parameter. Found none. "
            "An iterator that was already consumed is empty too: pass the module or a list."
        )
    for parameter in parameters:
        if not isinstance(parameter, Tensor) or not parameter.is_leaf:
            found = (
                "a computed tensor" if isinstance(parameter, Tensor) else type(parameter).__name__
            )
            raise MMParetoError(
                f"Encoder '{modality}' should hold parameters (leaf tensors) only. Found {found}."
            )
    return parameters
