"""The samples of a manifest, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmpareto.data._recipe import Finding, Progress
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.data.tables._contents import Contents
from mmpareto.data.tables._inputs import Input
from mmpareto.data.tables._labels import label_tensor, names
from mmpareto.data.tables._splitting import PARTS
from mmpareto.specs import Target


@dataclass(frozen=True, eq=False)
class Decoded:
    """The samples of a manifest, decoded.

    Args:
        datasets: For each part what can be used.
        damaged: What cannot be decoded, and is left out.
        lost: What a training lacks without it, which makes it impossible.
    """

    datasets: dict[str, CachedDataset]
    damaged: list[Finding]
    lost: list[str]


def decode(
    contents: Contents,
    inputs: Mapping[str, Input],
    target: Target,
    workers: int = 0,
    progress: Progress | None = None,
) -> Decoded:
    """Decodes what has not been decoded before, and leaves out the samples with a file that cannot be.

    Args:
        contents: What the table says.
        inputs: How each modality is read.
        target: What is predicted.
        workers: Processes that decode; 0 decodes in this one.
        progress: Told how far it is.

    Raises:
        MMParetoError: If nothing can be trained on.
    """
    places = list(contents.parts)
    opened = {
        name: item.open([contents.cells(name, place) for place in places], workers, progress)
        for name, item in inputs.items()
    }
    faults = {
        sample: Finding(
            contents.row(places[sample]),
            f"column `{name}`: {contents.cells(name, places[sample])[0]} {reason}",
        )
        for name, modality in opened.items()
        for sample, reason in modality.damaged.items()
    }
    labels = label_tensor([contents.labels[place] for place in places], target)
    ids = [contents.names[place] for place in places]
    datasets = {}
    for part in PARTS:
        own = [
            n for n, place in enumerate(places) if contents.parts[place] == part and n not in faults
        ]
        columns = {
            name: Column(modality.items, modality.index[own], inputs[name].transform)
            for name, modality in opened.items()
        }
        datasets[part] = CachedDataset(columns, labels[own], [ids[n] for n in own])
    lost = list(_lost(contents, {place for n, place in enumerate(places) if n not in faults}))
    return Decoded(datasets, list(faults.values()), lost)


def _lost(contents: Contents, kept: set[int]) -> Iterator[str]:
    """What there is in the table, but not in the samples that are kept."""
    if empty := [part for part in PARTS if kept.isdisjoint(contents.of(part))]:
        yield from (f"no sample for {part} is left that can be read" for part in empty)
        return
    train = contents.of("train")
    left = [place for place in train if place in kept]
    classes, taught = (
        {name for place in own for name in names(contents.labels[place])} for own in (train, left)
    )
    yield from (
        f"no training sample of class '{name}' is left that can be read"
        for name in sorted(classes - taught)
    )
    for modality in contents.modalities:
        if not any(any(contents.cells(modality, place)) for place in left):
            yield f"no training sample with `{modality}` is left that can be read"
