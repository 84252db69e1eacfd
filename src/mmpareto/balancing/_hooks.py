"""The base class of all methods: hooks, each with a neutral default."""

# Annotations are not postponed: CONTRIBUTING.md says why.

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from mmpareto.balancing._evidence import Evidence
from mmpareto.balancing._facts import Facts
from mmpareto.balancing._moment import Moment
from mmpareto.balancing._role import Role
from mmpareto.balancing._setup import Setup, Survey
from mmpareto.balancing._view import View
from mmpareto.errors import MMParetoError


class Method:
    """How several objectives share a training step.

    Subclass one of the two families, `GradientIntegration` or `LossWeighting`; a `LossWeighting`
    that overrides nothing is the plain sum of all losses. A method is a frozen dataclass of
    settings. What it remembers is one module that it makes in `memory`.

    In a step the hooks are called in this order: `evidence`, `objectives`, the family's weights,
    `scales`, `additions`. None of them may wait for the device, and none communicates: evidence is
    averaged over processes between the first two.

    Attributes:
        name: What the command line and the tables call the method.
        facts: What a reader of results must know of it.
        role: How it takes part in comparisons, if it is among the methods compared by default.
        requires: Objectives without which the method has no meaning.
        trains: Whether it has a training of its own. Without one the model is the ensemble of the
            models whose trainings came first.
        relies_on: What must be there: ``"fuse"``, a model that is split into encoders and what
            fuses any subset of their features; ``"confidence"``, a target that has one.
    """

    name: ClassVar[str]
    facts: ClassVar[Facts]
    role: ClassVar[Role | None] = None
    requires: ClassVar[frozenset[str]] = frozenset()
    relies_on: ClassVar[frozenset[str]] = frozenset()
    trains: ClassVar[bool] = True

    def memory(self, setup: Setup) -> nn.Module:
        """What the method remembers: called once, before training.

        Its buffers are kept with checkpoints, and are no part of the model. The hooks that get it
        may write to them.
        """
        return nn.Module()

    def evidence(self, view: View, memory: nn.Module) -> Mapping[str, Tensor]:
        """What a batch tells: called after its forward pass, without gradients.

        Returns:
            For each modality present values [n], one for each sample that has it; or [n, width],
            with one width for all modalities.
        """
        return {}

    def width(self, memory: nn.Module) -> tuple[int, ...]:
        """Shape of one sample's evidence, alike for all modalities and on all processes."""
        return ()

    def objectives(self, view: View, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        """The losses of a batch: called before they are differentiated.

        It may change them, add to them and leave some out, but name no others. What should act on
        the encoders like the joint loss is added to the joint loss.
        """
        return view.losses

    def scales(self, evidence: Evidence, memory: nn.Module) -> Mapping[str, Tensor]:
        """Factors k of the encoders' gradients: called when these are integrated, once per step.

        Args:
            evidence: Of all micro-batches of the step.
            memory: What `memory` made.

        Returns:
            Scalars by modality; 1 for those left out, and for all where evidence is incomplete.
        """
        return {}

    def additions(self, moment: Moment, memory: nn.Module) -> Mapping[Tensor, Tensor]:
        """What is added to gradients: g becomes k g + d, where d may depend on g.

        Called once per step, without gradients. It needs whole parameters: sharded ones are
        refused.

        Returns:
            By parameter a tensor of its shape.
        """
        return {}

    def survey(self, survey: Survey, memory: nn.Module) -> None:
        """Called before each epoch, without gradients, alike on all processes.

        It may read the data, change what is remembered and the model's weights, and let the
        optimizer begin anew.
        """

    def turns(self, modalities: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """The modalities that learn at a time: called once, before training.

        Each batch makes one step per turn, on the inputs of these modalities alone. The other
        encoders get no gradient, so that neither momentum nor weight decay moves them.
        """
        return [tuple(modalities)]

    def trainings(self, config: Any) -> Mapping[str, Any]:
        """Trainings that must come first, by name: called with the configuration of this one.

        Each is a changed copy of `config` (``dataclasses.replace``), with another method. Their
        models are given to `memory`.
        """
        return {}

    def adapt(self, model: nn.Module) -> None:
        """Changes a new model: called before its training, and before its weights are loaded."""

    def combine(self, joint: Tensor, unimodal: Mapping[str, Tensor]) -> Tensor:
        """The joint prediction that is scored, from all predictions of some samples.

        Called in evaluation; training reads the model's own.

        Args:
            joint: Predictions [n, outputs].
            unimodal: For each modality [n, outputs], NaN for samples that lack it.
        """
        return joint


def check_count(method: Method, modalities: Collection[str]) -> None:
    """Raises unless a method is defined for so many modalities."""
    facts = getattr(method, "facts", None)  # a user's own method may do without
    if facts is not None and facts.modalities == "two" and len(modalities) != 2:
        raise MMParetoError(
            f"Parameter `method` should be one for {len(modalities)} modalities. Found "
            f"{method.name}, which is defined for two."
        )


def overrides(method: Method, *hooks: str) -> bool:
    """Whether a method has one of these hooks of its own.

    Example:
        >>> from mmpareto.balancing import Uniform
        >>> overrides(Uniform(), "scales", "survey")
        False
    """
    return any(getattr(type(method), hook) is not getattr(Method, hook) for hook in hooks)
