"""The samples of a table, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from mmpareto.data._recipe import Finding, Progress
from mmpareto.data._splitting import PARTS
from mmpareto.data.samples._cached import CachedDataset, Column
from mmpareto.data.tables._contents import Contents, Fault
from mmpareto.data.tables._inputs import Input, Opened, Selection
from mmpareto.data.tables._labels import label_tensor, names
from mmpareto.specs import Target


@dataclass(frozen=True, eq=False)
class Decoded:
    """The samples of a table, decoded.

    Args:
        datasets: For each part what can be used.
        problems: What cannot be decoded, and is left out, or holds nothing.
        lost: What a training lacks without it, which makes it impossible.
    """

    datasets: dict[str, CachedDataset]
    problems: list[Finding]
    lost: list[str]


def decode(
    contents: Contents,
    inputs: Mapping[str, Input],
    target: Target,
    workers: int = 0,
    progress: Progress | None = None,
) -> Decoded:
    """Decodes what has not been decoded before; leaves out samples with a file that cannot be.

    Args:
        contents: What the table says.
        inputs: How each modality is read.
        target: What is predicted.
        workers: Processes that decode; 0 decodes in this one.
        progress: Called with the modality, and how many of its files are done of how many.

    Raises:
        MMParetoError: If nothing can be trained on.
    """
    places = np.array(list(contents.parts))
    parts = np.array(list(contents.parts.values()))
    samples = Selection(places, parts == "train", workers, progress)
    opened = {name: item.open(contents.table, samples) for name, item in inputs.items()}
    faults: dict[int, Fault] = {}
    absent: dict[int, Fault] = {}
    for name, modality in opened.items():
        faults |= _faults(contents, name, places, modality.damaged)
        absent |= _faults(contents, name, places, modality.absent, "; it is missing there")
    labels = label_tensor(list(map(contents.labels.__getitem__, contents.parts)), target)
    ids = np.array(contents.names, object)[places]
    kept = ~np.isin(places, list(faults))
    datasets = {}
    for part in PARTS:
        mine = torch.from_numpy(((parts == part) & kept).nonzero()[0])
        columns = {}
        for name, modality in opened.items():
            columns[name] = Column(modality.items, modality.index[mine], modality.transform)
        datasets[part] = CachedDataset(columns, labels[mine], ids[mine.numpy()].tolist())
    problems = contents.findings(faults) + contents.findings(absent)
    lost = list(_lost(contents, opened, kept))
    return Decoded(datasets, problems, lost)


def _faults(
    contents: Contents,
    name: str,
    places: np.ndarray,
    reasons: Mapping[int, str],
    consequence: str = "",
) -> dict[int, Fault]:
    """Reasons of samples as faults of rows."""
    faults = {}
    for sample, reason in reasons.items():
        place = int(places[sample])
        cell = contents.cell(name, place) if name not in contents.table.vectors else "a list"
        text = f"column `{name}`: {cell} {reason}{consequence}"
        faults[place] = Fault(text, f"{name}: {reason}")
    return faults


def _lost(contents: Contents, opened: Mapping[str, Opened], kept: np.ndarray) -> Iterator[str]:
    """What there is in the table, but not in the samples that are kept."""
    parts = np.array(list(contents.parts.values()))
    empty = [part for part in PARTS if part not in parts[kept]]
    if empty:
        for part in empty:
            yield f"no sample for {part} is left that can be read"
        return
    train = parts == "train"
    places = list(contents.parts)
    classes: dict[str, bool] = {}
    for sample in train.nonzero()[0].tolist():
        for name in names(contents.labels[places[sample]]):
            classes[name] = classes.get(name, False) or bool(kept[sample])
    for name in sorted(classes):
        if not classes[name]:
            yield f"no training sample of class '{name}' is left that can be read"
    for modality, item in opened.items():
        if not (item.index.numpy()[train & kept] >= 0).any():
            yield f"no training sample with `{modality}` is left that can be read"
