"""What a step's samples show, over all processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor


class Evidence(Mapping[str, Tensor]):
    """Means over all samples of all processes, 0-d or [width], by modality.

    Args:
        means: By modality; 0 where no sample had it.
        complete: Boolean 0-d, whether every modality had a sample. Without one a method cannot
            compare: scales are 1 then, and what is remembered should stay as it is.
    """

    def __init__(self, means: Mapping[str, Tensor], complete: Tensor) -> None:
        self._means, self.complete = dict(means), complete

    def __getitem__(self, modality: str) -> Tensor:
        return self._means[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._means)

    def __len__(self) -> int:
        return len(self._means)

    def others(self, modality: str) -> list[Tensor]:
        """The means of the other modalities."""
        return [value for name, value in self._means.items() if name != modality]

    def ratio(self, modality: str) -> Tensor:
        """A modality's mean over the mean of the others'; 1 for a single modality."""
        others = self.others(modality)
        own = self._means[modality]
        return own / torch.stack(others).mean() if others else torch.ones_like(own)

    def lead(self, modality: str) -> Tensor:
        """Mean difference to the modalities with less, 0-d; 0 where there is none."""
        ahead = torch.zeros_like(self._means[modality])
        weaker = torch.zeros_like(ahead)
        for other in self.others(modality):
            difference = self._means[modality] - other
            ahead = ahead + difference.clamp(min=0)
            weaker = weaker + (difference > 0)
        return ahead / weaker.clamp(min=1)


def sums_and_counts(shown: Mapping[str, Tensor], modalities: Iterable[str], zero: Tensor) -> Tensor:
    """Sums of what samples show, and their numbers, [2, M, ...].

    Args:
        shown: By modality, of the modalities present, values [n, ...].
        modalities: All M modalities.
        zero: What no sample shows.
    """
    pairs = []
    for modality in modalities:
        values = shown.get(modality, zero[None][:0])
        pairs.append(torch.stack([values.sum(0).to(zero.dtype), zero + len(values)]))
    return torch.stack(pairs, 1)


def evidence_of(total: Tensor, modalities: Iterable[str]) -> Evidence:
    """The means from `sums_and_counts`, added up over processes and micro-batches."""
    sums, counts = total
    means = (sums / counts.clamp(min=1)).unbind()
    return Evidence(dict(zip(modalities, means, strict=True)), (counts > 0).all())
