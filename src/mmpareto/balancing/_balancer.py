"""A method at work on one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmpareto.balancing._evidence import Evidence, evidence_of, sums_and_counts
from mmpareto.balancing._hooks import Method, check_count, overrides
from mmpareto.balancing._moment import Moment, generator
from mmpareto.balancing._setup import Setup, Survey, zeros_like_weights
from mmpareto.balancing._view import View
from mmpareto.distributed import Group, place, sum_over
from mmpareto.errors import MMParetoError
from mmpareto.gradients import among
from mmpareto.partition import Encoder, Partition, as_partition

AT_WORK = ("evidence", "objectives", "scales", "additions", "survey")
"""Hooks that would be passed by without a `Balancer`."""


class Balancer(nn.Module):
    """A method at work on one model: its settings, and what it remembers of the training.

    It takes the place of the method in `backward`, `BalancedLoss` and `Accumulation`. Save its
    ``state_dict`` with the optimizer's; it is no part of the model.

    Args:
        method: The method.
        encoders: As for `backward`.
        seed: Seed of what the method draws.
        setup: What else is known of the training.
        group: The processes whose evidence is averaged; None for the default group.

    Attributes:
        method: The method.
        memory: What it remembers.

    Example:
        >>> import mmpareto as mp
        >>> ears = nn.ModuleDict({"left": nn.Linear(4, 2), "right": nn.Linear(4, 2)})
        >>> head = nn.Linear(4, 3)
        >>> def fuse(features):
        ...     parts = [features.get(m, torch.zeros(8, 2)) for m in ears]
        ...     return head(torch.cat(parts, 1))
        >>> label = torch.arange(8) % 3
        >>> balancer = mp.Balancer(mp.OGMGE(alpha=0.8), ears)
        >>> features = {modality: ear(torch.randn(8, 4)) for modality, ear in ears.items()}
        >>> evidence = balancer.observe(mp.View(label, features, fuse))
        >>> loss = nn.functional.cross_entropy(fuse(features), label)
        >>> report = mp.backward({"joint": loss}, ears, balancer)
    """

    def __init__(
        self,
        method: Method,
        encoders: Partition | Mapping[str, Encoder] | nn.ModuleDict,
        *,
        seed: int = 0,
        setup: Setup | None = None,
        group: Group = None,
    ) -> None:
        super().__init__()
        partition = as_partition(encoders)
        self.method, self.encoders, self.seed = method, partition, seed
        check_count(method, partition)
        self.memory = method.memory(setup or Setup(partition))
        self._group = group
        self._steps = self._batches = 0
        self._sums: Tensor | None = None

    def get_extra_state(self) -> dict[str, int]:
        """Numbers of steps and batches, which random numbers depend on."""
        return {"steps": self._steps, "batches": self._batches}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Continues with those numbers."""
        self._steps, self._batches = int(state["steps"]), int(state["batches"])

    @property
    def settings(self) -> tuple[object, ...]:
        """What has to be equal on all processes that share a step."""
        return self.seed, self._steps

    def observe(self, view: View) -> Mapping[str, Tensor]:
        """Shows the method a batch, after its forward pass and before `backward`.

        With several processes all call it, also one that has no sample of a modality.

        Args:
            view: The batch.

        Returns:
            The losses to differentiate, those of the view unless the method has others.
        """
        evidence = self._take(view)
        like = view.label
        view = replace(
            view,
            uniform=lambda count: self._uniform(like, count),
            once=lambda: torch.rand((), generator=self._drawn(like, 1), device=like.device),
        )
        losses = self.method.objectives(view, evidence, self.memory)
        self._batches += 1
        return losses

    @torch.no_grad()
    def _take(self, view: View) -> Evidence:
        """The batch's evidence, over all processes; it is added to that of the step."""
        if not overrides(self.method, "evidence"):
            return Evidence({}, torch.ones((), dtype=torch.bool, device=view.label.device))
        shown = self.method.evidence(view, self.memory)
        zero = zeros_like_weights(self.encoders, *self.method.width(self.memory))
        sums = sums_and_counts(shown, self.encoders, zero)
        total = sum_over(sums, self._group)
        self._sums = total if self._sums is None else self._sums + total
        return evidence_of(total, self.encoders)

    def _uniform(self, like: Tensor, count: int) -> Tensor:
        """Numbers [B, count] for this process's samples, out of those for all processes'."""
        rank, processes = place(self._group)
        drawn = torch.rand(
            len(like) * processes,
            count,
            generator=self._drawn(like, 0),
            device=like.device,
        )
        return drawn[rank::processes]

    def _drawn(self, like: Tensor, purpose: int) -> torch.Generator:
        return generator(like.device, self.seed, self._batches, purpose)

    @torch.no_grad()
    def survey(self, survey: Survey) -> None:
        """Tells the method that an epoch begins."""
        self.method.survey(survey, self.memory)

    @torch.no_grad()
    def modulated(self, gradients: dict[Tensor, Tensor]) -> dict[Tensor, Tensor]:
        """Gradients that are integrated, as the method scales them and adds to them.

        Args:
            gradients: By parameter, averaged over processes; not written to.
        """
        if not overrides(self.method, "scales", "additions"):
            return gradients
        total = self._sums
        if total is None:
            width = self.method.width(self.memory)
            total = zeros_like_weights(self.encoders, 2, len(self.encoders), *width)
        evidence = evidence_of(total, self.encoders)
        changed = dict(gradients)
        for encoder, scale in self.method.scales(evidence, self.memory).items():
            factor = torch.where(evidence.complete, scale, 1.0)
            inside = among(self.encoders[encoder], gradients)
            if inside:
                scaled = torch._foreach_mul([gradients[p] for p in inside], factor)
                changed |= dict(zip(inside, scaled, strict=True))
        moment = Moment(gradients, self.encoders, evidence, self.seed, self._steps)
        for parameter, addition in self.method.additions(moment, self.memory).items():
            changed[parameter] = changed[parameter] + addition
        return changed

    def count(self) -> None:
        """Takes note of a step that has succeeded."""
        self._sums = None
        self._steps += 1

    def check_observed(self) -> None:
        """Raises unless this step's batches were shown, where the method decides on them."""
        if self._sums is None and overrides(self.method, "evidence"):
            raise MMParetoError(
                f"Parameter `method` should have seen the batch: {self.method.name} decides on "
                "its predictions. Found a step without. Call balancer.observe(mp.View(label, "
                "features, fuse)) after the forward pass."
            )
