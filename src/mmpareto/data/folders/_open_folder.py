"""The samples of a folder of files, decoded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from mmpareto.data._recipe import Finding, Progress
from mmpareto.data.caching._cache import Cache, Decoder, Source, cached
from mmpareto.data.folders._survey import Survey
from mmpareto.data.samples._cached import CachedDataset, Column, Transform


@dataclass(frozen=True)
class Reader:
    """How a modality's files become tensors.

    Args:
        cache: Name of the cache of what is decoded.
        decoder: From a file to an array.
        transform: From the array to a tensor.
    """

    cache: str
    decoder: Decoder
    transform: Transform


@dataclass(frozen=True, eq=False)
class OpenFolder:
    """The samples of a folder, with what their files were decoded to.

    Args:
        survey: What the folder holds.
        readers: For each modality its reader.
        caches: For each modality what became of the samples' files.
    """

    survey: Survey
    readers: Mapping[str, Reader]
    caches: Mapping[str, Cache]

    @cached_property
    def damaged(self) -> dict[int, list[Finding]]:
        """Why samples of some part cannot be decoded, by their numbers."""
        used = self.survey.used
        findings: dict[int, list[Finding]] = {}
        for modality, cache in self.caches.items():
            for number, reason in cache.damaged.items():
                if number in used:
                    path = self.survey.samples[number].files[modality]
                    findings.setdefault(number, []).append(Finding(str(path), reason))
        return findings

    def dataset(self, numbers: Sequence[int]) -> CachedDataset:
        """The data set of some of the samples, none of which is damaged."""
        samples = [self.survey.samples[number] for number in numbers]
        index = torch.tensor(numbers)
        columns = {}
        for modality, reader in self.readers.items():
            columns[modality] = Column(self.caches[modality], index, reader.transform)
        labels = torch.tensor([sample.label for sample in samples])
        return CachedDataset(columns, labels, [sample.name for sample in samples])


def open_folder(
    survey: Survey,
    root: Path,
    readers: Mapping[str, Reader],
    workers: int,
    progress: Progress | None,
) -> OpenFolder:
    """Decodes what has not been decoded yet.

    Args:
        survey: What the folder holds.
        root: Path of the folder.
        readers: For each modality its reader.
        workers: Number of processes that decode; 0 decodes in this one.
        progress: Told how far it is.
    """
    caches = {}
    for modality, reader in readers.items():
        sources = []
        for sample in survey.samples:
            path = sample.files[modality]
            sources.append(Source(os.path.relpath(path, root), path))
        caches[modality] = cached(
            reader.cache, sources, reader.decoder, workers=workers, progress=progress
        )
    return OpenFolder(survey, readers, caches)
