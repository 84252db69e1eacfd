"""Which parameters belong to which modality's encoder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor, nn

from mmpareto.errors import MMParetoError

Encoder: TypeAlias = nn.Module | Iterable[Tensor]

JOINT = "joint"
"""Name of the objective computed from all modalities together."""


@dataclass
class Memory:
    """What a step leaves for the next ones.

    Attributes:
        weights: For each encoder the objectives that reach it and their weights [m], of the last
            step in which they were measured.
        age: Steps that have taken the weights from here since.
    """

    weights: dict[str, tuple[tuple[str, ...], Tensor]] = field(default_factory=dict)
    age: int = 0


class Partition(Mapping[str, tuple[Tensor, ...]]):
    """A checked assignment of parameters to modality encoders.

    What is in no encoder (fusion, heads) needs no mention: it receives the plain sum of all
    objectives' gradients. A trunk that several modalities or tasks share is an encoder like any
    other, under a name of its own. Frozen parameters may be listed; they are skipped while
    ``requires_grad`` is false.

    The parameters are read once, here. Make a new partition after adding or replacing parameters,
    as ``fully_shard`` and ``get_peft_model`` do.

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
        memory: What a step leaves for the next ones.
        parameters: All parameters of the model, or of the encoders if it is not known; each once.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import mmpareto as mp
        >>> model = nn.ModuleDict({"ear": nn.Linear(4, 2), "eye": nn.Linear(3, 2), "head": nn.Linear(4, 2)})
        >>> encoders = mp.Partition(model, audio=model["ear"], visual=model["eye"])
        >>> {modality: len(parameters) for modality, parameters in encoders.items()}
        {'audio': 2, 'visual': 2}

        A learning rate per encoder:

        >>> audio = {"params": encoders["audio"], "lr": 1e-3}
        >>> rest = {"params": [*encoders["visual"], *encoders.rest]}
        >>> [group["lr"] for group in torch.optim.SGD([audio, rest], lr=1e-2).param_groups]
        [0.001, 0.01]
    """

    def __init__(self, model: nn.Module | None = None, /, **encoders: Encoder) -> None:
        if not encoders:
            raise MMParetoError(
                "Parameter `encoders` should name at least one modality, e.g. Partition(model, "
                "audio=model.audio). Found none."
            )
        self._parameters = {
            modality: _parameters(modality, encoder) for modality, encoder in encoders.items()
        }
        self._check_disjoint()
        if model is not None:
            self._check_inside(model)
        self.model = model
        inside = (parameter for parameters in self._parameters.values() for parameter in parameters)
        self.memory = Memory()
        self.parameters = tuple(inside if model is None else model.parameters())

    def _check_disjoint(self) -> None:
        owner: dict[Tensor, str] = {}
        for modality, parameters in self._parameters.items():
            for parameter in parameters:
                if (other := owner.setdefault(parameter, modality)) != modality:
                    raise MMParetoError(
                        "Parameter `encoders` should be disjoint. Found a parameter of shape "
                        f"{tuple(parameter.shape)} in both '{other}' and '{modality}'. Leave what "
                        "they share out of both (it then receives the plain sum), or give it to "
                        "one of them."
                    )

    def _check_inside(self, model: nn.Module) -> None:
        known = set(model.parameters())
        for modality, parameters in self._parameters.items():
            if outside := sum(parameter not in known for parameter in parameters):
                raise MMParetoError(
                    f"Encoder '{modality}' should be a part of `model`. Found {outside} of its "
                    f"{len(parameters)} parameters outside it. Pass modules of this very model, "
                    "not of a copy."
                )

    @property
    def rest(self) -> list[Tensor]:
        """The model's parameters that are in no encoder."""
        inside = {parameter for parameters in self._parameters.values() for parameter in parameters}
        return [parameter for parameter in self.parameters if parameter not in inside]

    def reached(self, reach: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
        """For each encoder those of its parameters that any objective reaches.

        Args:
            reach: For each objective the leaves that its gradient reaches.
        """
        leaves = {leaf for some in reach.values() for leaf in some}
        return {name: [p for p in parameters if p in leaves] for name, parameters in self.items()}

    def objectives(self, reach: Mapping[str, Sequence[Tensor]]) -> dict[str, tuple[str, ...]]:
        """For each encoder that any objective reaches, the objectives that do."""
        sets = {name: set(leaves) for name, leaves in reach.items()}
        touching = {
            e: tuple(o for o, leaves in sets.items() if not leaves.isdisjoint(ps))
            for e, ps in self.items()
        }
        return {encoder: objectives for encoder, objectives in touching.items() if objectives}

    def __getitem__(self, modality: str) -> tuple[Tensor, ...]:
        return self._parameters[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        sizes = (
            f"{name}={sum(p.numel() for p in parameters):,}" for name, parameters in self.items()
        )
        return f"Partition({', '.join(sizes)})"


def check_some(objectives: Collection[object]) -> None:
    """Raises unless there is an objective."""
    if not objectives:
        raise MMParetoError("Parameter `losses` should have at least one objective. Found none.")


def as_partition(encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict) -> Partition:
    """Returns `encoders` as a checked partition."""
    if isinstance(encoders, Partition):
        return encoders
    if isinstance(encoders, nn.ModuleDict):
        return Partition(**encoders)
    if not isinstance(encoders, Mapping):
        raise MMParetoError(
            "Parameter `encoders` should be a Partition or a mapping from modality to module or "
            f"parameters. Found {type(encoders).__name__}."
        )
    if unnamed := [name for name in encoders if not isinstance(name, str)]:
        raise MMParetoError(
            f"Parameter `encoders` should be keyed by modality names. Found {unnamed[0]!r}."
        )
    return Partition(**encoders)


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
    parameters = tuple(
        dict.fromkeys(encoder.parameters() if isinstance(encoder, nn.Module) else encoder)
    )
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
